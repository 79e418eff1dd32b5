-- Stand-in (test double) for Jitsi's mod_filter_iq_rayo: not Jitsi's code.
-- Who dials out or asks for a transcription has to be in that room and needs the feature for it. The
-- headers that name the room and the caller are written anew. Without the limit of concurrent calls.
local jid = require "util.jid";
local new_throttle = require "util.throttle".create;
local st = require "util.stanza";
local util = module:require "util";

local RAYO = "urn:xmpp:rayo:1";
local ROOM_HEADER, PASSWORD_HEADER = "JvbRoomName", "JvbRoomPassword";
local TRANSCRIPTION_PAUSE = 10; -- seconds between two in one room

local main_muc = module:get_option_string("main_muc");
if not main_muc then
	module:log("error", "main_muc has to be set");
	return;
end
local main_host = module:context(module:get_option_string("muc_mapper_domain_base"));
local verifier = module:require "token/util".new(main_host);
if not verifier then
	module:log("error", "The main host has no tokens, so nobody dials");
	return;
end
local service;
util.process_muc(main_muc, function (_, muc) service = muc; end);

-- Takes the two headers out, which a client could have forged, and returns their values by name.
local function take_headers(dial)
	local values = {};
	dial:maptags(function (tag)
		if tag.name ~= "header" then
			return tag;
		end
		if tag.attr.name == ROOM_HEADER or tag.attr.name == PASSWORD_HEADER then
			values[tag.attr.name] = tag.attr.value;
		end
	end);
	return values;
end

-- Why somebody may not dial, or nil.
local function problem_with(room, feature, named, session, stanza)
	if not room or not room:get_occupant_jid(stanza.attr.from) then
		return "not in room";
	elseif named ~= jid.bare(stanza.attr.to) then
		return "the room is not the one in the header";
	elseif session.auth_token and not verifier:verify_room(session, room.jid) then
		return "the token is for another room";
	end
	local owns = room:get_affiliation(stanza.attr.from) == "owner";
	if not util.is_feature_allowed(feature, session.jitsi_meet_context_features, owns) then
		return feature .. " is not among the features";
	end
end

local function is_too_often(room)
	room.transcription_throttle = room.transcription_throttle or new_throttle(1, TRANSCRIPTION_PAUSE);
	return not room.transcription_throttle:poll(1);
end

local function add_header(dial, name, value)
	if value ~= nil then
		value = tostring(value):gsub("[\r\n]", " ");
		dial:tag("header", { xmlns = RAYO, name = name, value = value }):up();
	end
end

local function add_caller(dial, session)
	local user = session.jitsi_meet_context_user;
	local id = session.granted_jitsi_meet_context_user_id;
	if user then
		id = user.id;
	end
	if id then
		add_header(dial, "X-outbound-call-initiator-user", id);
		add_header(dial, "X-outbound-call-initiator-group", session.jitsi_meet_context_group);
	end
end

-- Before the domain mapper changes the address of the room
module:hook("pre-iq/full", function (event)
	local session, stanza = event.origin, event.stanza;
	local dial = stanza:get_child("dial", RAYO);
	if not dial then
		return;
	end
	local function refuse(kind, condition, reason)
		module:log("warn", "Filtered a call of %s: %s", stanza.attr.from, reason);
		session.send(st.error_reply(stanza, kind, condition));
		return true;
	end
	local headers = take_headers(dial);
	local room = service.get_room_from_jid(util.room_jid_match_rewrite(jid.bare(stanza.attr.to)));
	local transcribes = (dial.attr.to or ""):lower() == "jitsi_meet_transcribe";
	local feature = transcribes and "transcription" or "outbound-call";
	local problem = problem_with(room, feature, headers[ROOM_HEADER], session, stanza);
	if problem then
		return refuse("auth", "forbidden", problem);
	end
	if transcribes and is_too_often(room) then
		return refuse("cancel", "resource-constraint", "too often");
	end
	add_caller(dial, session);
	add_header(dial, ROOM_HEADER, headers[ROOM_HEADER]);
	add_header(dial, PASSWORD_HEADER, headers[PASSWORD_HEADER]);
end, 1);
