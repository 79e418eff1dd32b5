-- A meeting is open only while an owner is in it.
--
-- Until an owner comes, people wait in a lobby and are told that they wait for the host. They are let
-- in when an owner has come. Some time after the last owner left, the meeting ends: everybody is sent
-- out, and the room goes with its breakout rooms. Until then those inside stay, newcomers wait, and an
-- owner who returns keeps the meeting alive. Who waits while a meeting ends is sent to the same room
-- again, and so waits for the next one.
--
-- Owner: who has the affiliation owner in the room; at the door also who logged in on the main domain
-- with a token whose context.user.affiliation is owner, moderator or teacher, or whose
-- context.user.moderator is true. Owners in a breakout room are in its meeting. Jicofo and recorders
-- are no people: they come and go, and are no owners. A lost connection counts as present until its
-- hibernation ends (smacks_hibernation_time).
--
-- Belongs on the MUC component of the meetings. The lobby is made by Jitsi's persistent_lobby and
-- muc_lobby_rooms. Where muc_wait_for_host is loaded too, it finds room.has_host set with an owner
-- and is not asked without one.
--
-- Options (MUC component or global):
--   owner_party_timeout         seconds from the leaving of the last owner to the end, 60
--   owner_party_service_hosts   hosts whose users are no people, { }
--   muc_mapper_domain_base      main domain, required
--   admins                      JIDs that are no people, as on every MUC
local configmanager = require "core.configmanager";
local jid = require "util.jid";
local st = require "util.stanza";
local now = require "util.time".now;

local MUC = "http://jabber.org/protocol/muc";
local JITSI = "http://jitsi.org/jitmeet";
local WAITING = "waiting-for-host"; -- as muc_wait_for_host has it, clients know it
local OWNER_AFFILIATIONS = { owner = true, moderator = true, teacher = true };

local main_host = assert(module:get_option_string("muc_mapper_domain_base"), "muc_mapper_domain_base is not set");
local service_hosts = module:get_option_set("owner_party_service_hosts", {});
local admins = module:get_option_inherited_set("admins", {});
local timeout = tonumber(module:get_option("owner_party_timeout", 60));
assert(timeout and timeout > 0 and timeout < math.huge, "owner_party_timeout has to be a number of seconds above 0");

local muc = module:depends("muc");
local internal_room_jid_match_rewrite = module:require("util").internal_room_jid_match_rewrite;

local function is_service(address)
	return admins:contains(jid.bare(address)) or service_hosts:contains(jid.host(address));
end

-- Tokens of other hosts are not verified.
local function has_owner_token(session)
	local user = session.jitsi_meet_context_user;
	return session.host == main_host and session.auth_token ~= nil and user ~= nil
		and (OWNER_AFFILIATIONS[user.affiliation] or user.moderator == true or user.moderator == "true");
end

-- The rooms of a meeting: the main room, then the breakout rooms that exist.
local function rooms_of(main_room)
	local rooms = { main_room };
	for address in pairs(main_room._data.breakout_rooms or {}) do
		local host = prosody.hosts[jid.host(address)];
		rooms[#rooms + 1] = host and host.modules.muc and host.modules.muc.get_room_from_jid(address);
	end
	return rooms;
end

local function people_in(main_room)
	return coroutine.wrap(function ()
		for _, room in ipairs(rooms_of(main_room)) do
			for _, occupant in room:each_occupant() do
				if not is_service(occupant.bare_jid) then
					coroutine.yield(occupant.bare_jid);
				end
			end
		end
	end);
end

local function has_owner(main_room)
	for address in people_in(main_room) do
		if main_room:get_affiliation(address) == "owner" then
			return true;
		end
	end
	return false;
end

-- What is known of a meeting, kept with the room so that it outlives a reload of this module.
--   ends        when it ends, in seconds since 1970, nil while an owner is there
--   changing    bare JIDs of those on the way from one of its rooms to another
--   persistent  whether the room was persistent before the lobby made it so
-- nil: nobody has opened it.
local function meeting_of(room)
	return room._data.owner_party;
end

local function has_waiting_lobby(room)
	return room._data.lobbyroom ~= nil and room._data.lobby_extra_reason == WAITING;
end

-- Others who enter wait in the lobby of a moderator, where there is one.
local function keep_waiting(room)
	if room:get_members_only() then
		return;
	end
	room._data.owner_party_persistent = room:get_persistent();
	prosody.events.fire_event("create-persistent-lobby-room",
		{ room = room, reason = WAITING, skip_display_name_check = true });
	-- The lobby makes members of those in the main room only
	local meeting = meeting_of(room);
	if meeting then
		for address in people_in(room) do
			if (room:get_affiliation(address) or "none") == "none" then
				room:set_affiliation(true, address, "member");
			end
		end
	end
end

local function end_waiting(room, message)
	room:set_members_only(false);
	room:set_persistent(room._data.owner_party_persistent or false);
	prosody.events.fire_event("destroy-lobby-room",
		{ room = room, newjid = internal_room_jid_match_rewrite(room.jid), message = message });
end

local end_meeting_in_time;

local function update(room)
	if has_owner(room) then
		if not meeting_of(room) or meeting_of(room).ends then
			module:log("info", "An owner is in %s", room.jid);
			room._data.owner_party = { changing = {} };
		end
		room.has_host = true;
		if has_waiting_lobby(room) then
			end_waiting(room, "The host has arrived.");
		end
		return;
	end
	room.has_host = nil;
	local meeting = meeting_of(room);
	if not meeting and people_in(room)() then
		meeting = { changing = {} };
		room._data.owner_party = meeting;
	end
	if meeting and not meeting.ends then
		meeting.ends = now() + timeout;
		module:log("info", "No owner is left in %s, it ends in %g s", room.jid, timeout);
		end_meeting_in_time(room);
	end
end

function end_meeting_in_time(room)
	local address, ends = room.jid, meeting_of(room).ends;
	module:add_timer(math.max(ends - now(), 0), function ()
		local same = muc.get_room_from_jid(address);
		local meeting = same and meeting_of(same);
		if meeting and meeting.ends == ends then
			module:log("info", "The meeting in %s ends without an owner", address);
			same:set_persistent(false);
			same:destroy(nil, "The meeting has ended, because no host is left.");
		end
	end);
end

local function wait(room, event)
	keep_waiting(room);
	local reply = st.error_reply(event.stanza, "auth", "registration-required");
	reply.tags[1].attr.code = "407";
	reply:tag(WAITING, { xmlns = JITSI }):up();
	local lobby = room._data.lobbyroom;
	if lobby then
		reply:tag("lobbyroom", { xmlns = JITSI }):text(lobby):up():up()
			:tag("lobbyroom"):text(lobby):up(); -- for older clients
	else
		module:log("error", "There is no lobby to wait in for %s", room.jid);
		reply:up();
	end
	event.origin.send(reply:tag("x", { xmlns = MUC }));
	return true;
end

-- After the checks of token, name and rate, before everything that decides on the lobby.
module:hook("muc-occupant-pre-join", function (event)
	local room, occupant, session = event.room, event.occupant, event.origin;
	local address = occupant.bare_jid;
	if is_service(address) or has_owner(room) then
		return;
	end
	local meeting = meeting_of(room);
	if room:get_affiliation(address) == "owner" or has_owner_token(session) then
		-- So that no lobby holds the owner back, and muc_wait_for_host leaves a moderator's lobby alone
		room:set_affiliation(true, address, "owner");
		occupant.role = "moderator";
		room.has_host = true;
	elseif meeting and meeting.changing[address] then
		meeting.changing[address] = nil;
	else
		return wait(room, event);
	end
end, 1);

local function main_room_of(room)
	if jid.host(room.jid) == module.host then
		return room;
	end
	for main_room in muc.each_room() do
		local breakout_rooms = main_room._data.breakout_rooms;
		if breakout_rooms and breakout_rooms[room.jid] then
			return main_room;
		end
	end
end

local function on_change(event)
	local room = main_room_of(event.room);
	if room and not room.destroying then
		update(room);
	end
end

-- Clients leave one room of the meeting with this status before they join the other.
local function on_leaving(event)
	local room = main_room_of(event.room);
	local meeting = room and meeting_of(room);
	if meeting and event.stanza:get_child_text("status") == "switch_room" then
		meeting.changing[event.occupant.bare_jid] = true;
	end
end

local function watch(context)
	context:hook("muc-occupant-joined", on_change);
	context:hook("muc-occupant-left", on_change);
	context:hook("muc-occupant-pre-leave", on_leaving);
end

watch(module);
module:hook("muc-set-affiliation", on_change);

-- Before muc_lobby_rooms destroys the lobby and tells nobody where to go.
module:hook("muc-room-destroyed", function (event)
	if has_waiting_lobby(event.room) then
		end_waiting(event.room, "The meeting has ended.");
	end
end, 2);

local breakout_host = configmanager.get(main_host, "breakout_rooms_muc") or "breakout." .. main_host;
if prosody.hosts[breakout_host] then
	watch(module:context(breakout_host));
end
module:hook_global("host-activated", function (host)
	if host == breakout_host then
		watch(module:context(host));
	end
end);

function module.load()
	for room in muc.each_room() do
		local meeting = meeting_of(room);
		if meeting and meeting.ends then
			end_meeting_in_time(room);
		end
		update(room);
	end
end
