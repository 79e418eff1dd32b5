"""Messages of STUN against the vectors of RFC 5769, and what is none."""

from __future__ import annotations

import ipaddress

import pytest

from vestibule.access import stun

# RFC 5769, sections 2.1 to 2.4
SHORT_TERM = b"VOkJxbRl1RmTxUk/WvJxBt"
REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e2074657374"
    "20636c69656e74002400046e0001ff80290008932ff9b151263b36000600096576"
    "746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571"
    "a280280004e57a3bcf"
)
IPV4_RESPONSE = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220"
    "002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004c07d4c96"
)
IPV6_RESPONSE = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220"
    "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf1"
    "1784c97c8292c275bfe3ed4180280004c8fb0b4c"
)
LONG_TERM = bytes.fromhex(
    "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383"
    "e382afe382b900000015001c662f2f3439396b3935346436"
    "4f4c33346f4c3946535476793634734100140"
    "00b6578616d706c652e6f72670000080014f67024656dd64a3e02b8e0712e85c9a28ca89666"
)
ADDRESSES = {
    "IPv4": (IPV4_RESPONSE, "192.0.2.1"),
    "IPv6": (IPV6_RESPONSE, "2001:db8:1234:5678:11:2233:4455:6677"),
}


def test_the_request_of_the_rfc_is_read() -> None:
    message = stun.decode(REQUEST)
    assert (message.method, message.kind) == (stun.BINDING, stun.REQUEST)
    assert message.text(stun.SOFTWARE) == "STUN test client"
    assert message.text(stun.USERNAME) == "evtj:h6vY"
    assert stun.is_signed(REQUEST, SHORT_TERM)
    assert not stun.is_signed(REQUEST, SHORT_TERM + b"x")


def test_the_request_of_the_rfc_is_written() -> None:
    assert stun.encode(stun.decode(REQUEST), SHORT_TERM, padding=b" ") == REQUEST


@pytest.mark.parametrize("family", ADDRESSES)
def test_the_addresses_of_the_rfc_are_read_and_written(family: str) -> None:
    data, host = ADDRESSES[family]
    message = stun.decode(data)
    assert (message.method, message.kind) == (stun.BINDING, stun.SUCCESS)
    address = (ipaddress.ip_address(host), 32853)
    assert message.address(stun.XOR_MAPPED_ADDRESS) == address
    assert stun.is_signed(data, SHORT_TERM)
    veiled = stun.encode_address(address, message.transaction)
    assert veiled == message.attributes[stun.XOR_MAPPED_ADDRESS]
    assert stun.encode(message, SHORT_TERM, padding=b" ") == data


def test_the_long_term_credential_of_the_rfc_signs() -> None:
    message = stun.decode(LONG_TERM)
    key = stun.long_term_key(message.text(stun.USERNAME), message.text(stun.REALM), "TheMatrIX")
    assert message.text(stun.USERNAME) == "マトリックス"
    assert stun.is_signed(LONG_TERM, key)
    # The vector has no fingerprint, and ours always has one
    assert stun.encode(message, key)[stun.HEADER :].startswith(LONG_TERM[stun.HEADER :])


# But those by which the fingerprint itself is known
@pytest.mark.parametrize("place", sorted({*range(len(REQUEST))} - {100, 101}))
def test_no_byte_can_be_another(place: int) -> None:
    data = REQUEST[:place] + bytes([REQUEST[place] ^ 1]) + REQUEST[place + 1 :]
    try:
        stun.decode(data)
    except stun.NotStunError:
        return
    pytest.fail("it was read")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: meet.example.org\r\n\r\n",
        REQUEST[:-1],
        REQUEST + b"\0\0\0\0",
        bytes.fromhex("000100042112a442") + bytes(12) + bytes.fromhex("00060009"),
    ],
    ids=["nothing", "HTTP", "cut off", "too long", "attribute beyond the end"],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(stun.NotStunError):
        stun.decode(data)


def test_an_error_has_a_code_and_a_reason() -> None:
    value = bytes([0, 0, 4, 3]) + b"Forbidden IP"
    answer = stun.Message(
        stun.CREATE_PERMISSION, stun.ERROR, stun.fresh_transaction(), {stun.ERROR_CODE: value}
    )
    assert stun.decode(stun.encode(answer)).error == (403, "Forbidden IP")


def test_methods_and_classes_come_back_as_they_were() -> None:
    for method in (stun.BINDING, stun.ALLOCATE, stun.REFRESH, stun.CREATE_PERMISSION, 0xFFF):
        for kind in range(4):
            sent = stun.Message(method, kind, stun.fresh_transaction())
            found = stun.decode(stun.encode(sent))
            assert (found.method, found.kind, found.transaction) == (
                method,
                kind,
                sent.transaction,
            )


def test_a_credential_is_what_prosody_and_the_servers_make_of_the_secret() -> None:
    # printf 1893456000 | openssl dgst -sha1 -hmac north -binary | base64
    assert stun.time_limited("north", 1893456000) == ("1893456000", "sqdTDrNuKKg7b57nGt21S56Eu5s=")
    assert stun.time_limited("north", 1893456000, "somebody")[0] == "1893456000:somebody"
