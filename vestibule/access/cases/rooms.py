"""Rooms and hosts that are not for people, whatever their token says."""

from __future__ import annotations

from ..attempts import (
    BREWERY,
    DROPPED,
    ask_before_login,
    ask_room,
    be_answered_by,
    configuration_form,
    configure_from_outside,
    configure_internal,
    configure_unopened,
    create_elsewhere,
    destruction,
    join,
    join_health_room,
    join_internal,
    join_unopened,
    kick,
    kick_owner,
    list_internal,
    log_in_anyway,
    look_for_login,
    members_only,
    moderation,
    move_stream,
    open_internal,
    ownership,
    password,
    rename,
    valid,
)
from ..participant import FOCUS_NICK
from ..scene import (
    owner_configures,
    presence_is_heard,
    room_is_open,
    token_is_accepted,
)
from ..xmpp import LEGACY_AUTH, REGISTER, Stage
from .case import Case, Refusal, at_join, at_login

ROOMS = (
    Case(
        "only_focus_creates_rooms",
        "room that Jicofo did not open",
        {
            "join": join_unopened(),
            "join as Jicofo": join_unopened(FOCUS_NICK),
            "configuration": configure_unopened,
            "lobby room": create_elsewhere("lobby"),
            "breakout room": create_elsewhere("breakout"),
        },
        (at_join("", "not-allowed", DROPPED), Refusal(Stage.REQUEST)),
        room_is_open,
        needs={"breakout room": "breakout"},
    ),
    Case(
        "focus_nick_refused",
        "Jicofo's nick",
        {
            "change of nick": rename(FOCUS_NICK),
            "change to x/focus": rename(f"x/{FOCUS_NICK}"),
            "join": join(valid, FOCUS_NICK),
            "join as x/focus": join(valid, f"x/{FOCUS_NICK}"),
        },
        (at_join("", "conflict", "not-allowed"),),
        presence_is_heard,
    ),
    Case(
        "room_configuration_refused",
        "configuration by somebody who is no owner",
        {
            "form": ask_room("get", configuration_form),
            "password": ask_room("set", password),
            "lobby": ask_room("set", members_only),
            "destruction": ask_room("set", destruction),
            "ownership": ask_room("set", ownership),
            "moderation": ask_room("set", moderation),
            "kick of the owner": ask_room("set", kick_owner),
            "kick of Jicofo": ask_room("set", kick(FOCUS_NICK)),
            "from outside": configure_from_outside,
        },
        (Refusal(Stage.REQUEST, ("forbidden", "not-allowed")),),
        owner_configures,
    ),
    Case(
        "internal_muc_closed",
        "internal rooms of the bridges",
        {
            "join": join_internal(BREWERY),
            "new room": join_internal(""),
            "by Jicofo": open_internal(BREWERY),
            "configuration": configure_internal(BREWERY),
            "new room by configuration": configure_internal(""),
            "list of rooms": list_internal(),
            "list of bridges": list_internal(BREWERY),
        },
        (Refusal(Stage.JOIN), Refusal(Stage.REQUEST), Refusal(Stage.FOCUS, ("not-allowed",))),
        room_is_open,
    ),
    *(
        Case(
            f"{host}_host_closed",
            f"login at {host}.",
            {
                "offer": look_for_login(host),
                "PLAIN": log_in_anyway(host, "PLAIN", b"\0focus\0focus"),
                "SCRAM": log_in_anyway(host, "SCRAM-SHA-1", b"n,,n=focus,r=vestibule"),
                "ANONYMOUS": log_in_anyway(host, "ANONYMOUS"),
                "answered by guest.": be_answered_by("guest.", host),
                "answered by the main host": be_answered_by("", host),
                "registration": ask_before_login(host, REGISTER),
                "legacy login": ask_before_login(host, LEGACY_AUTH),
                "moved stream": move_stream(host),
            },
            (
                Refusal(Stage.STREAM),
                # What speaks of credentials has tried the password
                at_login("^(?!.*credentials)", "not-authorized", "invalid-mechanism"),
                Refusal(Stage.REQUEST),
            ),
            token_is_accepted,
        )
        for host in ("auth", "recorder", "gateway")
    ),
    Case(
        "health_room_closed",
        "rooms of Jicofo's health check",
        {
            "join": join_health_room(),
            "join as Jicofo": join_health_room(FOCUS_NICK),
            "opened by Jicofo": join_health_room(asked=True),
            "as x/focus": join_health_room(f"x/{FOCUS_NICK}", asked=True),
            "of a tenant": join_health_room(tenant=True, asked=True),
        },
        (at_join("", "not-allowed", "service-unavailable", "conflict"),),
        room_is_open,
    ),
)
