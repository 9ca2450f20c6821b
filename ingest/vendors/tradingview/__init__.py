"""TradingView's screener."""
