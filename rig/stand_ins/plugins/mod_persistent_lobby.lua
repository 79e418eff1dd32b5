-- Stand-in (test double) for Jitsi's mod_persistent_lobby: not Jitsi's code.
-- Gives a room a lobby that lives without anybody in the room, and ends the room when both are empty.
local util = module:require "util";

module:depends("room_destroy");

local main_muc = module:get_option_string("main_muc");
local lobby_muc = module:get_option_string("lobby_muc");
if not main_muc or not lobby_muc then
	module:log("error", "main_muc and lobby_muc have to be set");
	return;
end

-- The lobby of a room, if it has one of ours.
local function lobby_of(room)
	return room._data.persist_lobby and room._data.lobbyroom
		and util.get_room_from_jid(room._data.lobbyroom) or nil;
end

local function end_if_empty(room)
	if util.is_healthcheck_room(room.jid) or not room._data.persist_lobby or room:has_occupant() then
		return;
	end
	local lobby = lobby_of(room);
	-- The lobby may have been switched off meanwhile. One whose room is not found is left alone
	if room._data.lobbyroom == nil or lobby and not lobby:has_occupant() then
		prosody.events.fire_event("maybe-destroy-room", {
			room = room, reason = "main room and lobby now empty", caller = module.name });
	end
end

util.process_muc(main_muc, function (context)
	context:hook("muc-occupant-left", function (event)
		if not event.room.destroying then
			end_if_empty(event.room);
		end
	end);
end);

util.process_muc(lobby_muc, function (context)
	context:hook("muc-occupant-left", function (event)
		local room = event.room.main_room_jid and util.get_room_from_jid(event.room.main_room_jid);
		-- Without a lobby the room ends when its last occupant leaves
		if room and not event.room:has_occupant() then
			end_if_empty(room);
		end
	end);
end);

module:hook_global("create-persistent-lobby-room", function (event)
	prosody.events.fire_event("create-lobby-room", event);
	event.room._data.persist_lobby = true;
	event.room:set_persistent(true);
end);

module:hook_global("maybe-destroy-room", function (event)
	local lobby = lobby_of(event.room);
	if event.caller ~= module.name and lobby and lobby:has_occupant() then
		module:log("info", "%s stays while somebody waits for it", event.room.jid);
		return true;
	end
end);
