# shellcheck shell=bash disable=SC2034,SC2154 # variables of crash-campaign.sh
# The Timescale campaign. Small batches, so that there are many commits to kill.

campaign_features=timescale
service=postgres
variable=QICORE_POSTGRES_URL
events=90000
[ "$campaign" = timescale ] || { service=timescale variable=QICORE_TIMESCALE_URL events=8000; }
# shellcheck source=/dev/null
. scripts/campaigns/store.sh

sink() { # SCHEMA
  cat <<TOML
type = "timescale"
tables.schema = "$1"
batch = { events = 700, linger = "10ms" }
TOML
}

sql() { psql -qXAt -v ON_ERROR_STOP=1 "$CAMPAIGN_URL" -c "$1"; }

# The schema with a check that refuses some rows, so that transactions are rolled back and searched, too.
prepare() { # SCHEMA
  sql "DROP SCHEMA IF EXISTS $1 CASCADE" 2>/dev/null
  "$qicore" check --connect "$work/$1.toml" 2>/dev/null
  sql "ALTER TABLE $1.trades ADD CONSTRAINT not_these_ids CHECK (id NOT LIKE '%777')"
}

# Every row of a table as a line, without what tells when it was written.
rows() { # SCHEMA TABLE
  sql "SELECT to_jsonb(t) - 'seq' - 'created_at' - 'updated_at' FROM $1.$2 t" | sort
}
