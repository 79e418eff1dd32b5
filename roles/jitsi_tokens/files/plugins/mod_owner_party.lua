-- A meeting is open only while an owner is in it.
--
-- Until an owner comes, people wait in a lobby and are told that they wait for the host. They are let
-- in when an owner has come. Some time after the last owner left, the meeting ends: everybody is sent
-- out, and the room goes with its breakout rooms. Until then those inside stay, newcomers wait, and an
-- owner who returns keeps the meeting alive. Who waits while a meeting ends is sent to the same room
-- again, and so waits for the next one.
--
-- Owner: who has the affiliation owner in the room; at the door also who logged in on the main domain
-- with a token that makes an owner (token_owner.lib). Owners in a breakout room are in its meeting.
-- Jicofo and recorders are no people: they come and go, and are no owners. A lost connection counts
-- as present until its hibernation ends (smacks_hibernation_time).
--
-- Belongs on the MUC component of the meetings. The lobby is made by Jitsi's persistent_lobby and
-- muc_lobby_rooms; without them people are refused. muc_wait_for_host may be loaded as well: it is
-- only asked about people who may enter, and finds room.has_host set for them.
--
-- Options (MUC component or global):
--   owner_party_timeout         seconds from the leaving of the last owner to the end, 60
--   service_hosts               hosts whose users are no people, { }
--   muc_mapper_domain_base      main domain, required
--   admins                      JIDs that are no people, as on every MUC
-- Of the main domain:
--   breakout_rooms_muc          MUC of the breakout rooms, "breakout." and the main domain
local st = require "util.stanza";
local now = require "util.time".now;

local MUC = "http://jabber.org/protocol/muc";
local JITSI = "http://jitsi.org/jitmeet";
local WAITING = "waiting-for-host"; -- as muc_wait_for_host has it, clients know it

local main_host = assert(module:get_option_string("muc_mapper_domain_base"), "muc_mapper_domain_base is not set");

local timeout;
local function read_settings()
	local seconds = module:get_option_number("owner_party_timeout", 60);
	assert(seconds and seconds > 0 and seconds < math.huge,
		"owner_party_timeout has to be a number of seconds above 0");
	timeout = seconds;
end
read_settings();
module:hook_global("config-reloaded", read_settings);

local muc = module:depends("muc");
local is_service = module:require("machines").is_service;
local is_token_owner = module:require "token_owner";
local meeting_rooms = module:require "meeting";
local internal_room_jid_match_rewrite = module:require("util").internal_room_jid_match_rewrite;

local function has_owner(main_room)
	return meeting_rooms.find_person(main_room, function (address)
		return main_room:get_affiliation(address) == "owner";
	end) ~= nil;
end

-- The meeting in a room, nil where nobody has opened it. It is kept with the room, so it outlives a
-- reload of this module.
--   ends       when it ends, in seconds since 1970, nil while an owner is there
local function meeting_of(room)
	return room._data.owner_party;
end

local function has_waiting_lobby(room)
	return room._data.lobbyroom ~= nil and room._data.lobby_extra_reason == WAITING;
end

-- Those of the meeting become members (mod_inside_stays).
local function make_lobby(room)
	local was_persistent = room:get_persistent();
	prosody.events.fire_event("create-persistent-lobby-room",
		{ room = room, reason = WAITING, skip_display_name_check = true });
	room._data.owner_party_persistent = was_persistent;
end

-- Whoever is in the lobby leaves it for the room.
local function destroy_lobby(room, message)
	prosody.events.fire_event("destroy-lobby-room",
		{ room = room, newjid = internal_room_jid_match_rewrite(room.jid), message = message });
end

local function end_in_time(room)
	local address, ends = room.jid, meeting_of(room).ends;
	module:add_timer(math.max(ends - now(), 0), function ()
		local same = muc.get_room_from_jid(address);
		local meeting = same and meeting_of(same);
		if meeting and meeting.ends == ends then
			module:log("info", "The meeting in %s ends, its owners have not come back", address);
			same:set_persistent(false);
			same:destroy(nil, "The meeting has ended, because no host is left.");
		end
	end);
end

local function update(room)
	local meeting = meeting_of(room);
	if has_owner(room) then
		room._data.owner_party = meeting or {};
		room._data.owner_party.ends = nil;
		if has_waiting_lobby(room) then
			room:set_members_only(false);
			room:set_persistent(room._data.owner_party_persistent);
			destroy_lobby(room, "The host has arrived.");
		end
	elseif meeting and not meeting.ends then
		meeting.ends = now() + timeout;
		module:log("info", "No owner is left in %s, the meeting ends in %g s", room.jid, timeout);
		end_in_time(room);
	end
end

local function refuse_for_now(room, event)
	if not room:get_members_only() then
		make_lobby(room);
	end
	local reply = st.error_reply(event.stanza, "auth", "registration-required");
	reply.tags[1].attr.code = "407";
	reply:tag(WAITING, { xmlns = JITSI }):up();
	local lobby = room._data.lobbyroom;
	if lobby then
		reply:tag("lobbyroom", { xmlns = JITSI }):text(lobby):up():up();
		reply:tag("lobbyroom"):text(lobby):up(); -- for older clients
	else
		module:log("error", "There is no lobby for people who wait for %s", room.jid);
		reply:up();
	end
	event.origin.send(reply:tag("x", { xmlns = MUC }));
end

-- Tokens of other hosts are not verified.
local function is_owner_at_door(room, address, session)
	if room.kicked and room.kicked[address] then
		return false;
	end
	return room:get_affiliation(address) == "owner" or session.host == main_host and is_token_owner(session);
end

-- After the checks of token, ban, name and rate, before everything that decides on lobbies.
module:hook("muc-occupant-pre-join", function (event)
	local room, occupant = event.room, event.occupant;
	local address = occupant.bare_jid;
	if not is_service(address) and not has_owner(room) then
		local meeting = meeting_of(room);
		if is_owner_at_door(room, address, event.origin) then
			-- No lobby may hold back who is awaited
			room:set_affiliation(true, address, "owner");
			occupant.role = "moderator";
		elseif not (meeting and meeting_rooms.travellers_of(room)[address]) then
			refuse_for_now(room, event);
			return true;
		end
	end
	room.has_host = true;
end, 1);

local function on_change(event)
	local main_room = meeting_rooms.main_room_of(event.room);
	if main_room and not main_room.destroying then
		update(main_room);
	end
end

meeting_rooms.with_rooms(function (context)
	context:hook("muc-occupant-joined", on_change);
	context:hook("muc-occupant-left", on_change);
end);
module:hook("muc-set-affiliation", on_change);

-- Before muc_lobby_rooms closes the lobby without a word on where to go.
module:hook("muc-room-destroyed", function (event)
	if has_waiting_lobby(event.room) then
		destroy_lobby(event.room, "The meeting has ended.");
	end
end, 2);

-- After a reload
for room in muc.all_rooms() do
	local meeting = meeting_of(room);
	if meeting and meeting.ends then
		end_in_time(room);
	elseif meeting_rooms.find_person(room) then
		room._data.owner_party = meeting or {};
	end
	update(room);
end
