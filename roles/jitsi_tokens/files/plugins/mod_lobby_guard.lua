-- Lets into a lobby whom the door of its meeting has sent there.
--
-- A lobby checks nothing itself. With a token for another room, or banned, one could knock all the same,
-- and one session could wait for any number of meetings, each of which stays for its sake.
--
-- Goes on the MUC of the lobbies.
--
-- Options (MUC component or global):
--   lobby_guard_waits   meetings that one session may wait for, 2
--   those of meeting.lib
local cache = require "util.cache";
local jid = require "util.jid";
local meeting = module:require "meeting";
local refuse = module:require "refuse";

local waits;
local function read_settings()
	waits = module:get_option_number("lobby_guard_waits", 2);
end
read_settings();
module:hook_global("config-reloaded", read_settings);

local RECENT = 10; -- meetings at whose door a session was

-- Who moderates goes into the lobby to see who waits. The others who are inside have nothing there.
local function may_enter(state, address, real_jid)
	local room = meeting.find_room(address);
	local occupant = room and room:get_occupant_by_real_jid(real_jid);
	if occupant then
		return occupant.role == "moderator";
	end
	return state.may:get(address);
end

-- Who moderates could not come into the lobby under a nick that a waiting person has.
local function is_taken(address, stanza)
	local main_room = meeting.find_room(address);
	local nick, from = jid.resource(stanza.attr.to), jid.bare(stanza.attr.from);
	for _, room in ipairs(main_room and meeting.rooms_of(main_room) or {}) do
		local occupant = room:get_occupant_by_nick(room.jid .. "/" .. nick);
		if occupant and occupant.bare_jid ~= from then
			return true;
		end
	end
	return false;
end

-- Addresses of the meetings that a session was sent to wait for, and of those that it waits for
local function state_of(session)
	if not session.lobby_guard then
		session.lobby_guard = { may = cache.new(RECENT), waits = {}, count = 0 };
	end
	return session.lobby_guard;
end

-- Who comes this far has the right token and is not banned; the doors that follow may send them on
meeting.with_host(meeting.main_muc, function (context)
	context:hook("muc-occupant-pre-join", function (event)
		if event.room:get_affiliation(event.stanza.attr.from) ~= "outcast" then
			state_of(event.origin).may:set(event.room.jid, true);
		end
	end, 50);
end);

-- A session that goes on with another token has to ask at the door again
module:hook_global("c2s-session-updated", function (event)
	local state = event.session.lobby_guard;
	if state then
		state.may = cache.new(RECENT);
	end
end);

module:hook("muc-occupant-pre-join", function (event)
	local main_room, from = event.room.main_room_jid, event.stanza.attr.from;
	local state = state_of(event.origin);
	if not main_room or not may_enter(state, main_room, from) then
		return refuse(event, "cancel", "not-allowed", "Ask for the meeting first");
	elseif is_taken(main_room, event.stanza) then
		return refuse(event, "cancel", "conflict", "Somebody in the meeting has this nick");
	elseif not state.waits[main_room] and state.count >= waits then
		return refuse(event, "wait", "resource-constraint", "You wait for other meetings");
	end
end, 50);

local function note(event, is_waiting)
	local session = event.origin;
	local main_room = event.room.main_room_jid;
	local state = session and session.lobby_guard;
	if state and main_room and (state.waits[main_room] or false) ~= is_waiting then
		state.waits[main_room] = is_waiting or nil;
		state.count = state.count + (is_waiting and 1 or -1);
	end
end

module:hook("muc-occupant-joined", function (event)
	note(event, true);
end);

-- Who is sent out, or whose lobby ends, does not say so by a stanza
module:hook("muc-occupant-left", function (event)
	local session = event.origin or prosody.full_sessions[event.occupant.jid];
	note({ origin = session, room = event.room }, false);
end);
