"""Financial Modeling Prep's endpoints: the ``stable`` API."""

import pyarrow as pa

from ingest.payloads.endpoint import DAY, NUMBER, TEXT, Endpoint, fields

_DELISTED = pa.schema(
    [*fields(TEXT, "symbol companyName exchange"), *fields(DAY, "ipoDate delistedDate")]
)
_PRICES = pa.schema(
    [
        *fields(TEXT, "symbol"),
        *fields(DAY, "date"),
        *fields(NUMBER, "adjOpen adjHigh adjLow adjClose volume"),
    ]
)
_EARNINGS = pa.schema(
    [
        *fields(TEXT, "symbol"),
        *fields(DAY, "date"),
        *fields(NUMBER, "epsActual epsEstimated revenueActual revenueEstimated"),
        *fields(DAY, "lastUpdated"),
    ]
)
_DIVIDENDS = pa.schema(
    [
        *fields(TEXT, "symbol"),
        *fields(DAY, "date recordDate paymentDate declarationDate"),
        *fields(NUMBER, "adjDividend dividend yield"),
        *fields(TEXT, "frequency"),
    ]
)
_SPLITS = pa.schema(
    [
        *fields(TEXT, "symbol"),
        *fields(DAY, "date"),
        *fields(NUMBER, "numerator denominator"),
        *fields(TEXT, "splitType"),
    ]
)
_STATEMENT = [
    *fields(DAY, "date"),
    *fields(TEXT, "symbol reportedCurrency cik"),
    *fields(DAY, "filingDate"),
    # New York's wall clock without an offset: landed as sent, ``vendor_ts`` is the UTC of it.
    *fields(TEXT, "acceptedDate fiscalYear period"),
]
_INCOME = """
    revenue costOfRevenue grossProfit researchAndDevelopmentExpenses
    generalAndAdministrativeExpenses sellingAndMarketingExpenses
    sellingGeneralAndAdministrativeExpenses otherExpenses operatingExpenses costAndExpenses
    netInterestIncome interestIncome interestExpense depreciationAndAmortization ebitda ebit
    nonOperatingIncomeExcludingInterest operatingIncome totalOtherIncomeExpensesNet incomeBeforeTax
    incomeTaxExpense netIncomeFromContinuingOperations netIncomeFromDiscontinuedOperations
    otherAdjustmentsToNetIncome netIncome netIncomeDeductions bottomLineNetIncome eps epsDiluted
    weightedAverageShsOut weightedAverageShsOutDil
"""
_BALANCE = """
    cashAndCashEquivalents shortTermInvestments cashAndShortTermInvestments netReceivables
    accountsReceivables otherReceivables inventory prepaids otherCurrentAssets totalCurrentAssets
    propertyPlantEquipmentNet goodwill intangibleAssets goodwillAndIntangibleAssets
    longTermInvestments taxAssets otherNonCurrentAssets totalNonCurrentAssets otherAssets
    totalAssets totalPayables accountPayables otherPayables accruedExpenses shortTermDebt
    capitalLeaseObligationsCurrent taxPayables deferredRevenue otherCurrentLiabilities
    totalCurrentLiabilities longTermDebt capitalLeaseObligationsNonCurrent
    deferredRevenueNonCurrent deferredTaxLiabilitiesNonCurrent otherNonCurrentLiabilities
    totalNonCurrentLiabilities otherLiabilities capitalLeaseObligations totalLiabilities
    treasuryStock preferredStock commonStock retainedEarnings additionalPaidInCapital
    accumulatedOtherComprehensiveIncomeLoss otherTotalStockholdersEquity totalStockholdersEquity
    totalEquity minorityInterest totalLiabilitiesAndTotalEquity totalInvestments totalDebt netDebt
"""
_CASH_FLOW = """
    netIncome depreciationAndAmortization deferredIncomeTax stockBasedCompensation
    changeInWorkingCapital accountsReceivables inventory accountsPayables otherWorkingCapital
    otherNonCashItems netCashProvidedByOperatingActivities
    investmentsInPropertyPlantAndEquipment acquisitionsNet purchasesOfInvestments
    salesMaturitiesOfInvestments otherInvestingActivities netCashProvidedByInvestingActivities
    netDebtIssuance longTermNetDebtIssuance shortTermNetDebtIssuance netStockIssuance
    netCommonStockIssuance commonStockIssuance commonStockRepurchased netPreferredStockIssuance
    netDividendsPaid commonDividendsPaid preferredDividendsPaid otherFinancingActivities
    netCashProvidedByFinancingActivities effectOfForexChangesOnCash netChangeInCash
    cashAtEndOfPeriod cashAtBeginningOfPeriod operatingCashFlow capitalExpenditure freeCashFlow
    incomeTaxesPaid interestPaid
"""


def _endpoint(
    name: str,
    columns: pa.Schema,
    key: tuple[str, ...],
    required: tuple[str, ...] = (),
    event_time: str | None = None,
) -> Endpoint:
    return Endpoint(
        "fmp", name, columns, key, "fmp", "stable", required, event_time, class_mark="-"
    )


def _statement(name: str, measures: str) -> Endpoint:
    columns = pa.schema([*_STATEMENT, *fields(NUMBER, measures)])
    return _endpoint(
        name, columns, ("symbol", "date", "period"), ("reportedCurrency", "acceptedDate")
    )


DELISTED = _endpoint("delisted_companies", _DELISTED, ("symbol", "delistedDate"), ("exchange",))
PRICES = _endpoint(
    "eod_non_split_adjusted",
    _PRICES,
    ("symbol", "date"),
    ("adjOpen", "adjHigh", "adjLow", "adjClose", "volume"),
    event_time="date",
)
INCOME = _statement("income_statement", _INCOME)
BALANCE = _statement("balance_sheet_statement", _BALANCE)
CASH_FLOW = _statement("cash_flow_statement", _CASH_FLOW)
EARNINGS = _endpoint("earnings", _EARNINGS, ("symbol", "date"))
DIVIDENDS = _endpoint("dividends", _DIVIDENDS, ("symbol", "date"), ("dividend",))
SPLITS = _endpoint("splits", _SPLITS, ("symbol", "date"), ("numerator", "denominator"))

ALL = (
    DELISTED,
    PRICES,
    INCOME,
    BALANCE,
    CASH_FLOW,
    EARNINGS,
    DIVIDENDS,
    SPLITS,
)
