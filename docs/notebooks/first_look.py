"""A first look at a lake: bars, status, features and a run, as cells of a notebook.

After ``trademl demo`` run it whole, ``python docs/notebooks/first_look.py [DATA]``, or cell by cell
in an editor that knows ``# %%``. It only reads: nothing here can change the lake.
"""

# %% The newest published version, read-only
import json
import sys
from pathlib import Path

import ibis

from trademl.api import open_version

is_script = Path(sys.argv[0]).name == "first_look.py"
data_dir = Path(sys.argv[1] if is_script and len(sys.argv) > 1 else "data")
lake = open_version(data_dir)

# %% Bars: prices as they were paid, with the day's split ratio and return beside them
bars = lake.table("equities_ohlcv_adj", database="curated")
symbol = bars.symbol.min().execute()
last_bars = bars.filter(bars.symbol == symbol).order_by(ibis.desc("session_date")).limit(5)
print(f"== the last bars of {symbol}")
print(last_bars.select("session_date", "close", "volume", "split_ratio", "ret").execute())

# %% Status: what should be there, judged partition by partition; models train on GREEN only
status = lake.table("partition_status", database="quality")
counts = status.group_by("table_name", "status").agg(partitions=status.count())
print("== partitions by table and status")
print(counts.order_by("table_name", "status").execute())

# %% Features: one row per symbol and session, known by the session's end
features = lake.table("features_matrix", database="matrices")
last_day = features.session_date.max()
top = features.filter(features.session_date == last_day, features.feat_momentum.notnull())
print("== the strongest momentum of the last session")
print(
    top.order_by(ibis.desc("feat_momentum"), "symbol")
    .select("symbol", "session_date", "feat_momentum", "feat_volatility_ann")
    .limit(5)
    .execute()
)

# %% A run: the weights of the profile's own portfolio, and where its report lies
runs = sorted(path for path in (data_dir / "runs").glob("[!.]*") if (path / "INDEX.md").is_file())
for run in runs:
    flattened = json.loads((run / "data" / "portfolio_flattened.json").read_text())
    primary = flattened["metadata"]["primary"]
    assets = flattened["profiles"][primary]["assets"]
    print(f"== {run.name}: {primary}, {len(assets)} assets; read {run / 'INDEX.md'}")
    for asset in assets[:5]:
        print(f"{asset['Symbol']:12} {asset['Net_Weight']:+8.2%}")
if not runs:
    print(f"== no run under {data_dir / 'runs'}: `trademl alpha --run-id today` makes one")

# %% Done
lake.disconnect()
