-- Stand-in (test double) for Jitsi's mod_muc_filter_access: not Jitsi's code.
-- Drops presence from everybody whose domain is not listed, without an answer.
local jid = require "util.jid";

local whitelist = module:get_option_set("muc_filter_whitelist");
if not whitelist then
	module:log("warn", "No 'muc_filter_whitelist' option set, disabling muc_filter_access, plugin inactive");
	return;
end

for _, kind in ipairs { "host", "bare", "full" } do
	module:hook("presence/" .. kind, function (event)
		local from = event.stanza.attr.from;
		if not from or not whitelist:contains(jid.host(from)) then
			module:log("error", "Filtering unauthorized presence: %s", event.stanza:top_tag());
			return true;
		end
	end, 2000);
end
