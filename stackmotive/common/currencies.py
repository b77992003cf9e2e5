"""ISO 4217 currencies and the units that exchanges quote in. Nothing else is a currency: stablecoins are instruments."""

from decimal import Decimal

MINOR_DIGITS = {
    "BHD": 3, "BIF": 0, "CLF": 4, "CLP": 0, "DJF": 0, "GNF": 0, "IQD": 3, "ISK": 0, "JOD": 3, "JPY": 0, "KMF": 0,
    "KRW": 0, "KWD": 3, "LYD": 3, "OMR": 3, "PYG": 0, "RWF": 0, "TND": 3, "UGX": 0, "UYI": 0, "UYW": 4, "VND": 0,
    "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
}  # fmt: skip

ISO_4217 = frozenset(
    """AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF
    CLF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL
    HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LTL LVL
    LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN
    PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD
    TWD TZS UAH UGX USD UYU UYW UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWL
    ATS BEF CYP DEM EEK ESP FIM FRF GRD IEP ITL LUF MTL NLG PTE SIT SKK ROL TRL""".split()
)  # the last line: currencies that joined the euro or were redenominated, which old statements still name

# Quote units: what a price may be quoted in, as (currency, units of that currency for one).
QUOTE_UNITS = {
    "GBX": ("GBP", Decimal("0.01")),
    "GBp": ("GBP", Decimal("0.01")),
    "ZAc": ("ZAR", Decimal("0.01")),
    "ZAC": ("ZAR", Decimal("0.01")),
    "ILA": ("ILS", Decimal("0.01")),
    "USX": ("USD", Decimal("0.01")),
}
ALIASES = {"CNH": "CNY", "RMB": "CNY"}


def minor_unit(currency: str) -> Decimal:
    """The smallest amount of `currency` that can be paid: Decimal("0.01") for USD, Decimal("1") for JPY."""
    return Decimal(1).scaleb(-MINOR_DIGITS.get(currency, 2))


def quote_unit(code: str) -> tuple[str, Decimal]:
    """(currency, factor) of a code that prices may be quoted in: ("GBP", 0.01) for GBX, ("USD", 1) for USD."""
    return QUOTE_UNITS.get(code, (ALIASES.get(code, code), Decimal(1)))
