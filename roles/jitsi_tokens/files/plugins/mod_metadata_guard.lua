-- Holds a meeting's metadata to the form and the size that others expect.
--
-- A moderator may set any key to anything, and it is sent to everybody and kept. Modules read some of
-- them later, on behalf of others: a number where they expect an object breaks chat, polls and
-- moderation for the whole meeting. Clients set objects. All of it is sent again with each change.
--
-- Goes on the main VirtualHost, which upstream's component asks who may set what.
--
-- Options (VirtualHost or global):
--   metadata_guard_keys    keys that a meeting may have, 40
--   metadata_guard_bytes   longest value, as JSON, 16384
--   metadata_guard_total   bytes of all that a meeting has, 32768
--   metadata_guard_burst   changes of a meeting in a row, 20
--   metadata_guard_rate    further ones a second, 3
local json = require "util.json";
local bucket = module:require "bucket";

local most_keys, most_bytes, most_in_all, burst, rate;
local function read_settings()
	most_keys = module:get_option_number("metadata_guard_keys", 40);
	most_bytes = module:get_option_number("metadata_guard_bytes", 16384);
	most_in_all = module:get_option_number("metadata_guard_total", 32768);
	burst = module:get_option_number("metadata_guard_burst", 20);
	rate = module:get_option_number("metadata_guard_rate", 3);
end
read_settings();
module:hook_global("config-reloaded", read_settings);

local function is_too_often(room)
	room.metadata_guard = bucket(room.metadata_guard, burst, rate);
	return not room.metadata_guard:poll(1);
end

local function is_too_much(metadata, key, data)
	local value = #json.encode(data);
	local keys, bytes = 1, #key + value;
	for other, kept in pairs(metadata) do
		if other ~= key then
			keys, bytes = keys + 1, bytes + #other + #json.encode(kept);
		end
	end
	return value > most_bytes or keys > most_keys or bytes > most_in_all;
end

module:hook("jitsi-metadata-allow-moderation", function (event)
	local room, data = event.room, event.data;
	if type(data) ~= "table" or data == json.null or #data > 0
		-- Others change little, and shall not use up what moderators may
		or event.actor.role == "moderator" and is_too_often(room)
		or is_too_much(room.jitsiMetadata or {}, event.key, data) then
		module:log("info", "Refused a change of the metadata of %s", room.jid);
		return false;
	end
end, 1000);
