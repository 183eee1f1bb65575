"""Phone numbers as E.164, and how much of one may be shown."""

from __future__ import annotations


def parse(text: str) -> str:
    """The number in E.164. Raises ValueError unless it is a possible number with a country code."""
    import phonenumbers

    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException as error:
        raise ValueError("not a phone number in E.164") from error
    if not text.startswith("+") or not phonenumbers.is_possible_number(number):
        raise ValueError("not a phone number in E.164")
    formatted: str = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return formatted


def country_code(e164: str) -> str:
    """The calling code of a number that `parse` returned, for example `+86`."""
    import phonenumbers

    return f"+{phonenumbers.parse(e164, None).country_code}"


def mask(e164: str) -> str:
    """Only the country code and the last four digits are shown: `+86 *******0001`."""
    code = country_code(e164)
    national = e164[len(code) :]
    return f"{code} {'*' * max(len(national) - 4, 3)}{national[-4:]}"
