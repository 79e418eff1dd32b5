-- Who logs in too often is read from slowly, in whichever order Prosody has loaded its modules.
--
-- Upstream's mod_rate_limit and Prosody's mod_limits both limit a connection when its session begins,
-- one after the other as they were loaded, and the later one counts. Prosody loads modules in no order,
-- so after some starts mod_limits was the later one, and nobody was slowed (seen).
--
-- Goes on the VirtualHost that has rate_limit. No options.
local modulemanager = require "core.modulemanager";

local function put_last()
	modulemanager.reload(module.host, "rate_limit");
end

local function follow(event)
	if event.module == "limits" then
		put_last();
	end
end

module:hook_global("server-started", put_last);
module:hook_global("module-loaded", follow);
module:hook_global("module-reloaded", follow);
