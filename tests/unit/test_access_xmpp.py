"""XMPP as it travels: answers are read strictly, refusals keep the server's words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestibule.access.xmpp import (
    CLIENT,
    MAX_MESSAGE,
    SASL,
    STREAMS,
    Broken,
    NoAnswer,
    Refused,
    Room,
    Stage,
    element,
    parse,
    qualified,
    refusal,
    stanza_refusal,
    text,
)

# What XML 1.0 can say at all
CHARACTERS = st.characters(codec="utf-8", min_codepoint=0x20, exclude_characters="\ufffe\uffff")


def test_an_answer_is_an_element_with_its_namespace() -> None:
    assert parse("<iq xmlns='jabber:client' id='1'/>").tag == qualified(CLIENT, "iq")


def test_the_prefix_of_a_stream_error_need_not_be_declared() -> None:
    assert parse("<stream:error/>").tag == qualified(STREAMS, "error")


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "words",
        "<open",
        "<a/><b/>",
        "</answer><answer>",
        "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
        "<?xml version='1.0'?><a/>",
        "<!-- words --><a/>",
        "<a><![CDATA[b]]></a>",
        "<a>&undefined;</a>",
        b"<a>\xff</a>",
        "<a>" + " " * MAX_MESSAGE + "</a>",
    ],
)
def test_what_is_no_single_plain_element_is_refused(answer: str | bytes) -> None:
    with pytest.raises(Broken):
        parse(answer)


@given(st.text(CHARACTERS), st.text(CHARACTERS))
def test_what_is_written_is_read_back(value: str, content: str) -> None:
    read = parse(element("a", {"value": value}, text(content)))
    assert (read.get("value"), read.text or "") == (value, content)


def test_a_login_failure_keeps_condition_and_words() -> None:
    failure = parse(
        f"<failure xmlns='{SASL}'><text>Not acceptable by exp (5 sec)</text>"
        "<not-allowed/></failure>"
    )
    refused = refusal(Stage.LOGIN, failure, SASL)
    assert (refused.condition, refused.text) == ("not-allowed", "Not acceptable by exp (5 sec)")
    assert str(refused) == "refused: not-allowed (Not acceptable by exp)"


def test_a_stanza_error_is_told_from_its_application_condition() -> None:
    answer = parse(
        "<presence xmlns='jabber:client' type='error'><error type='cancel'>"
        "<room-mismatch xmlns='http://jitsi.org/jitmeet'/>"
        "<not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>"
    )
    assert stanza_refusal(Stage.JOIN, answer).condition == "not-allowed"


def test_a_stanza_of_type_error_without_an_error_is_a_refusal_all_the_same() -> None:
    answer = parse("<iq xmlns='jabber:client' type='error' id='1'/>")
    assert stanza_refusal(Stage.REQUEST, answer).condition == "undefined-condition"


def test_silence_says_what_did_not_come() -> None:
    assert str(NoAnswer("the stream", 10)) == ("no answer: the stream did not come within 10 s")


def test_a_refusal_without_words_shows_its_condition() -> None:
    assert str(Refused(Stage.HTTP, "414")) == "refused: 414"


def test_a_tenants_room_has_two_addresses_and_answers_from_either() -> None:
    room = Room("Standup", "meet.example.org", "acme")
    assert room.address == "Standup@conference.acme.meet.example.org"
    assert room.mapped_address == "[acme]Standup@conference.meet.example.org"
    for sender in (f"{room.address.lower()}/nick", f"{room.mapped_address.lower()}/nick"):
        assert room.sent(parse(element("presence", {"xmlns": CLIENT, "from": sender})))


@pytest.mark.parametrize(
    "sender",
    ["", "standup2@conference.meet.example.org/x", "standup@lobby.meet.example.org/x"],
)
def test_other_rooms_are_not_taken_for_this_one(sender: str) -> None:
    room = Room("standup", "meet.example.org")
    assert not room.sent(parse(element("presence", {"xmlns": CLIENT, "from": sender})))
