# shellcheck shell=bash disable=SC2034,SC2154 # variables of services.sh
# Apache Kafka: one broker, which is its own controller, out of Maven's packages on Java 17 or later. Data survives SIGKILL.
#
# The printed broker takes everybody for an administrator. A second listener, at the port in $home/ssl-port, wants TLS,
# whose certificate $home/ca.crt has signed, and SASL PLAIN: of `admin`, whose password is in $home/password and who may
# do all, or of `guest`, whose password is in $home/guest-password and who may do nothing.
#
# For tests records are kept for ever, whatever their timestamps, but in topics with a retention of their own, which is
# looked after every second; sessions of groups may be as short as one second. The broker's own session with its
# controller is short, as a killed broker is not let in again before it is over.
#
# QICORE_KAFKA_CONFIG  more settings, as lines of `name=value` or with `;` between them
# QICORE_KAFKA_HEAP    768m by default
# QICORE_KAFKA_OPTS    more arguments for the JVM
version=4.1.0
logging=2.24.3
stop_signal=TERM
exported=BROKERS

# shellcheck source-path=SCRIPTDIR/../.. source=scripts/services/certificates.sh
. "$root/scripts/services/certificates.sh"

folder() { echo "$cache/kafka/$version"; }

install_programs() { # PACKAGE…
  if [ "$(id -u)" != 0 ] || ! type apt-get >/dev/null 2>&1; then
    fail "programs are missing: install the packages $*"
  fi
  say "installing the packages $*"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
}

# Into the folder that all states share, each part complete or not at all: the programs, and a formatted folder of data.
install_package() { # FOLDER
  [ ! -d "$1/data" ] || return 0
  mkdir -p "$1"
  (
    flock 8
    [ -d "$1/libs" ] || fetch "$1"
    [ -d "$1/data" ] || format "$1"
  ) 8>>"$1/lock"
}

fetch() { # FOLDER
  type mvn >/dev/null 2>&1 || install_programs maven
  say "fetching Kafka $version with Maven"
  cat >"$1/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>qicore</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>$logging</version></dependency>
  </dependencies>
</project>
POM
  rm -rf "$1/new"
  mvn -q -B -f "$1/pom.xml" dependency:copy-dependencies "-DoutputDirectory=$1/new" </dev/null >"$1/fetch.log" 2>&1 ||
    { tail -n 5 "$1/fetch.log" >&2; fail "Maven could not fetch Kafka $version"; }
  mv "$1/new" "$1/libs"
}

# By Kafka's own tool, which takes as long as a broker takes to start, so that it runs once for all of them. The classes
# it has loaded are archived on the way: a broker starts in two thirds of the time with them. The JVM takes the archive
# only for the same jars at the same place.
format() { # FOLDER
  rm -rf "$1/new"
  cat >"$1/format.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:9093
listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093
controller.listener.names=CONTROLLER
log.dirs=$1/new
PROPERTIES
  java -XX:+UseSerialGC "-XX:ArchiveClassesAtExit=$1/classes.jsa" -cp "$1/libs/*" kafka.tools.StorageTool format \
    --cluster-id "$(cluster_id)" --config "$1/format.properties" >"$1/format.log" 2>&1 ||
    { tail -n 5 "$1/format.log" >&2; fail "the data could not be formatted"; }
  mv "$1/new" "$1/data"
}

# 16 bytes, as Kafka writes them; an id does not begin with a dash.
cluster_id() { openssl rand -base64 16 | tr +/ -_ | tr -d = | sed 's/^-/A/'; }

# A copy of the formatted folder, with a cluster id of its own.
make_data() {
  local new
  rm -rf "$home"/new.*
  new=$(mktemp -d "$home/new.XXXXXX")
  cp -R "$(folder)/data/." "$new"
  sed -i "s/^cluster\.id=.*/cluster.id=$(cluster_id)/" "$new/meta.properties"
  mv "$new" "$home/data"
}

# What a listener with TLS and SASL needs: the file that comes last says that all are there.
make_access() {
  (
    umask 077
    certificates "$home"
    openssl rand -hex 16 >"$home/password"
    openssl rand -hex 16 >"$home/guest-password"
    cat "$home/server.key" "$home/server.crt" >"$home/new.pem"
    mv "$home/new.pem" "$home/keystore.pem"
  )
}

prepare() {
  type java >/dev/null 2>&1 || install_programs default-jre-headless
  [ -e "$home/keystore.pem" ] || make_access
  install_package "$(folder)"
  [ -d "$home/data" ] || make_data
  rm -rf "$home/tmp"
  mkdir "$home/tmp"
}

# The port that a file keeps. Until the first start has succeeded it may become another one.
kept_port() { # FILE PORT…
  local file=$1 port
  shift
  port=$(cat "$file" 2>/dev/null || true)
  while [ -z "$port" ] || [[ " $* " = *" $port "* ]] || { [ ! -e "$home/port" ] && taken "$port"; }; do
    port=$(free_port)
  done
  echo "$port" >"$file"
  echo "$port"
}

collision() { # PORT
  taken "$1" || taken "$(<"$home/ssl-port")" || taken "$(<"$home/controller-port")"
}

server_command() { # PORT
  local ssl controller more
  ssl=$(kept_port "$home/ssl-port" "$1")
  controller=$(kept_port "$home/controller-port" "$1" "$ssl")
  (umask 077 && properties "$1" "$ssl" "$controller" >"$home/server.properties")
  cat >"$home/log4j2.properties" <<'LOG'
rootLogger.level=warn
rootLogger.appenderRef.console.ref=console
logger.started.name=kafka.server.KafkaRaftServer
logger.started.level=info
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d %pid %p %c: %m%n
LOG
  # Native parts of the packages are unpacked into the folder of temporary files.
  read -ra more <<<"${QICORE_KAFKA_OPTS:-}"
  server=(java -Xms128m "-Xmx${QICORE_KAFKA_HEAP:-768m}" -XX:+UseSerialGC -XX:-UsePerfData
    "-XX:SharedArchiveFile=$(folder)/classes.jsa" "-Djava.io.tmpdir=$home/tmp"
    "-Dlog4j2.configurationFile=$home/log4j2.properties" "${more[@]}"
    -cp "$(folder)/libs/*" kafka.Kafka "$home/server.properties")
}

properties() { # PORT SSL CONTROLLER
  cat <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$3
listeners=PLAINTEXT://127.0.0.1:$1,SASL_SSL://127.0.0.1:$2,CONTROLLER://127.0.0.1:$3
advertised.listeners=PLAINTEXT://127.0.0.1:$1,SASL_SSL://127.0.0.1:$2
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=$home/data
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:ANONYMOUS;User:admin
listener.name.sasl_ssl.sasl.enabled.mechanisms=PLAIN
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\
  user_admin="$(<"$home/password")" user_guest="$(<"$home/guest-password")";
listener.name.sasl_ssl.ssl.keystore.type=PEM
listener.name.sasl_ssl.ssl.keystore.location=$home/keystore.pem
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
auto.create.topics.enable=false
num.partitions=4
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.retention.ms=-1
log.initial.task.delay.ms=500
log.retention.check.interval.ms=1000
log.segment.delete.delay.ms=500
log.cleaner.backoff.ms=500
PROPERTIES
  tr ';' '\n' <<<"${QICORE_KAFKA_CONFIG:-}"
}

# Written once the broker is no longer fenced and answers clients.
ready() { # PID PORT
  grep -q "^[^ ]* [^ ]* $1 INFO .*Kafka Server started" "$home/log"
}

url() { echo "127.0.0.1:$1"; }
