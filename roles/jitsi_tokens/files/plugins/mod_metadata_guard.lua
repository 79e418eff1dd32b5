-- Holds a meeting's metadata to the form and the size that others expect.
--
-- A moderator may set any key to anything, and it is sent to everybody and kept. Modules read some of
-- them later, on behalf of others: a number where they expect an object breaks chat, polls and
-- moderation for the whole meeting. Clients set objects.
--
-- Goes on the main VirtualHost, which upstream's component asks who may set what.
--
-- Options (VirtualHost or global):
--   metadata_guard_keys    keys that a meeting may have, 40
--   metadata_guard_bytes   longest value, as JSON, 16384
local json = require "util.json";

local most_keys = module:get_option_number("metadata_guard_keys", 40);
local most_bytes = module:get_option_number("metadata_guard_bytes", 16384);

module:hook("jitsi-metadata-allow-moderation", function (event)
	local metadata = event.room.jitsiMetadata or {};
	local data = event.data;
	local keys = metadata[event.key] == nil and 1 or 0;
	for _ in pairs(metadata) do
		keys = keys + 1;
	end
	if type(data) ~= "table" or data == json.null or #data > 0
		or keys > most_keys or #json.encode(data) > most_bytes then
		module:log("info", "Refused the metadata %s of %s", event.key, event.room.jid);
		return false;
	end
end, 1000);
