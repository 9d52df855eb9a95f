# shellcheck shell=bash disable=SC2034,SC2154 # variables of crash-campaign.sh
# The ClickHouse campaign. Small batches, so that there are many to kill. Rows are read as the project's readers do, with
# FINAL; how many lie there twice until parts are merged is told at the end.

campaign_features=clickhouse
service=clickhouse
variable=QICORE_CLICKHOUSE_URL
events=120000
# shellcheck source=/dev/null
. scripts/campaigns/store.sh

sink() { # DATABASE
  cat <<TOML
type = "clickhouse"
tables.database = "$1"
batch = { events = 1500, linger = "10ms" }
TOML
}

sql() { curl -fsS "$CAMPAIGN_URL/" --data-binary "$1"; }

# The database with a check that refuses some rows, so that batches are searched, too.
prepare() { # DATABASE
  sql "DROP DATABASE IF EXISTS $1 SYNC"
  "$qicore" check --connect "$work/$1.toml" 2>/dev/null
  sql "ALTER TABLE $1.trades ADD CONSTRAINT not_these_ids CHECK id NOT LIKE '%777'"
}

# Every row of a table as a line, without what tells in which order it came.
rows() { # DATABASE TABLE
  sql "SELECT * FROM $1.$2 FINAL FORMAT JSONEachRow" | sed 's/,"seq":"\?[0-9]*"\?//' | sort
}

twice=0
also() { # TABLE
  twice=$((twice + $(sql "SELECT count() FROM broken.$1") - $(wc -l <"$work/found")))
}

campaign_end() {
  echo "letters of refused rows: $refused; rows that lay twice until a merge: $twice"
}
