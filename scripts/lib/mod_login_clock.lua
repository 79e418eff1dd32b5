-- Measures, for scripts/bench alone, which share of a login's processor time our checks of the token have.
--
-- Between its two hooks around an event of auth_token run mod_token_guard and what that asks, and nothing
-- else. When the server stops, it writes one line: logins, processor seconds between the hooks, and
-- processor seconds of the whole of Prosody from the first login to the last.
--
-- Options (VirtualHost):
--   login_clock_file   path of the file for that line; /var/lib/prosody/login_clock
local path = module:get_option_string("login_clock_file", "/var/lib/prosody/login_clock");

local logins, checks = 0, 0;
local first, last, entered;

local function around(event, before, after)
	module:hook_global(event, function ()
		entered = os.clock();
		first = first or entered;
	end, before);
	module:hook_global(event, function ()
		last = os.clock();
		checks = checks + (last - entered);
	end, after);
end

around("pre-jitsi-authentication-fetch-key", 1001, 999);
around("post-jitsi-authentication", -999, -1001);

module:hook_global("post-jitsi-authentication", function ()
	logins = logins + 1;
end, -1002);

module:hook_global("server-stopping", function ()
	local handle = assert(io.open(path, "w"));
	handle:write(("%d %.6f %.6f\n"):format(logins, checks, first and last - first or 0));
	handle:close();
end);
