-- Stops Prosody when a module that guards a door did not load.
--
-- Prosody logs one line and goes on when a module fails. Without auth_token or token_verification
-- that leaves rooms open to everybody while the service counts as active. This module looks once
-- all hosts are up, before the first connection is served.
--
-- Options (global):
--   fail_closed_required   mapping of host to the list of modules that have to be loaded there
--
-- A host whose `authentication` is not in effect counts as unguarded too: auth_token returns early
-- without a secret and then still shows as loaded.
module:set_global();

local config = require "core.configmanager";
local modulemanager = require "core.modulemanager";

local required = module:get_option("fail_closed_required", {});

local function problems_of(host, modules)
	local problems = {};
	if not prosody.hosts[host] then
		return { "the host is not there" };
	end
	for _, name in ipairs(modules) do
		if not modulemanager.is_loaded(host, name) then
			problems[#problems + 1] = "mod_" .. name .. " is not loaded";
		end
	end
	local wanted = config.get(host, "authentication");
	local users = prosody.hosts[host].users;
	if wanted and prosody.hosts[host].type == "local" and (not users or users.name ~= wanted) then
		problems[#problems + 1] = "authentication \"" .. wanted .. "\" is not in effect";
	end
	return problems;
end

module:hook("server-started", function ()
	local total = 0;
	for host, modules in pairs(required) do
		for _, problem in ipairs(problems_of(host, modules)) do
			module:log("error", "Unguarded door on %s: %s", host, problem);
			total = total + 1;
		end
	end
	if total > 0 then
		module:log("error", "Prosody stops, because a guard of its doors did not load");
		os.exit(1); -- there is nothing to save yet, and nobody may connect in between
	end
end);
