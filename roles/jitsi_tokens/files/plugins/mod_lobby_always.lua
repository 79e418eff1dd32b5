-- Every meeting starts with its lobby on: until a moderator turns it off, newcomers wait for a
-- moderator. Owners by their token pass (mod_moderator_returns).
--
-- Goes on the MUC component of the meetings; persistent_lobby has to be loaded on the main host, as
-- people also wait for meetings in which there is nobody yet. No options.
local util = module:require "util";

module:hook("muc-room-created", function (event)
	local room = event.room;
	if util.is_healthcheck_room(room.jid) then
		return;
	end
	prosody.events.fire_event("create-persistent-lobby-room", {
		room = room;
		skip_display_name_check = false;
	});
	-- muc_wait_for_host would end the lobby when the first token holder comes. Guests wait in it.
	room.has_host = true;
end);
