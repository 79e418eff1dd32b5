-- A meeting without people ends, whoever of the machines is left in it.
--
-- Jicofo leaves a room with the last person whom it saw leave. It stays with a recorder, with people
-- whom the room sent out without telling anybody, and where it waits for breakout rooms that nobody
-- comes back from. This looks at the room itself.
--
-- A meeting for which somebody waits in a lobby that lives without it (persistent_lobby) stays open:
-- that is how people wait for a host.
--
-- Goes on the MUC component of the meetings.
--
-- Options (MUC component or global):
--   empty_meetings_timeout      seconds without people after which a meeting ends, 60
--   those of meeting.lib and machines.lib

local timeout = module:get_option_number("empty_meetings_timeout", 60);
assert(timeout and timeout > 0 and timeout < math.huge, "empty_meetings_timeout has to be a number of seconds above 0");

local muc = module:depends("muc");
local meeting = module:require "meeting";
local is_healthcheck_room = module:require("util").is_healthcheck_room;

local empty = {}; -- rooms that are looked at again, with what they were looked at for, by their address

local function is_awaited(room)
	local lobby = room._data.persist_lobby and room._data.lobbyroom;
	lobby = lobby and meeting.find_room(lobby);
	return lobby ~= nil and lobby ~= false and lobby:has_occupant();
end

local look;
function look(room)
	local address = room.jid;
	if is_healthcheck_room(address) or room.destroying then
		return;
	elseif meeting.find_person(room) or is_awaited(room) then
		empty[address] = nil;
		return;
	elseif empty[address] then
		return;
	end
	local since = {};
	empty[address] = since;
	module:add_timer(timeout, function ()
		if empty[address] ~= since then
			return; -- somebody was there meanwhile
		end
		empty[address] = nil;
		local same = muc.get_room_from_jid(address);
		if not same or same.destroying then
			return;
		elseif meeting.find_participant(same) then
			look(same); -- somebody is on the way, who may not arrive
		elseif not is_awaited(same) then
			module:log("info", "The meeting in %s ends, nobody is left in it", address);
			same:set_persistent(false);
			same:destroy(nil, "The meeting has ended, because nobody is left.");
		end
	end);
end

local function on_change(event)
	local main_room = meeting.main_room_of(event.room);
	if main_room then
		look(main_room);
	end
end

meeting.with_rooms(function (context)
	context:hook("muc-occupant-joined", on_change);
	context:hook("muc-occupant-left", on_change);
end);

meeting.with_host(meeting.lobby_muc, function (context)
	for _, name in ipairs { "muc-occupant-joined", "muc-occupant-left" } do
		context:hook(name, function (event)
			local main_room = event.room.main_room_jid and muc.get_room_from_jid(event.room.main_room_jid);
			if main_room then
				look(main_room);
			end
		end);
	end
end);

module:hook("muc-room-destroyed", function (event)
	empty[event.room.jid] = nil;
end);

-- After a reload
for room in muc.all_rooms() do
	look(room);
end
