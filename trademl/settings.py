"""Settings, read once at the command line from the environment and ``.env``."""

from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where data lives, which hosts to ask, and the keys to ask with (never printed)."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", env_prefix="TRADEML_", populate_by_name=True
    )

    data: Path = Path("data")
    clock: str | None = None
    alpaca_key_id: SecretStr = Field(
        default=SecretStr(""), validation_alias=AliasChoices("APCA_API_KEY_ID", "ALPACA_API_KEY")
    )
    alpaca_secret_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("APCA_API_SECRET_KEY", "ALPACA_SECRET_KEY"),
    )
    alpaca_data_url: str = "https://data.alpaca.markets"
    alpaca_trading_url: str = "https://paper-api.alpaca.markets"
    binance_url: str = "https://data-api.binance.vision"
    reference_dir: Path | None = None
