-- Stand-in (test double) for Jitsi's mod_roster_command: not Jitsi's code.
-- `prosodyctl mod_roster_command subscribe USER CONTACT`: USER sees when CONTACT is online, at once.
if module.host ~= "*" then
	module:log("error", "This is a command of prosodyctl and not to be loaded");
	return;
end

local jid = require "util.jid";
local rosters = require "core.rostermanager";
local storage = require "core.storagemanager";
local users = require "core.usermanager";
local warn = require "util.prosodyctl".show_warning;

local prosody = _G.prosody;
-- Parts of Prosody look for these, which a server has and prosodyctl does not
prosody.bare_sessions = prosody.bare_sessions or {};
_G.bare_sessions = _G.bare_sessions or prosody.bare_sessions;

local function prepare(host)
	if prosody.hosts[host].users.name == "null" then
		storage.initialize_host(host);
		users.initialize_host(host);
	end
end

local function subscribe(user, contact)
	local user_name, user_host = jid.split(user);
	local contact_name, contact_host = jid.split(contact);
	if not prosody.hosts[user_host] then
		warn("The host '%s' is not configured for this server.", user_host);
		return;
	end
	prepare(user_host);
	-- A component has no roster
	if user_name ~= nil then
		rosters.set_contact_pending_out(user_name, user_host, contact);
	end
	if prosody.hosts[contact_host] then
		prepare(contact_host);
		rosters.set_contact_pending_in(contact_name, contact_host, user);
		rosters.subscribed(contact_name, contact_host, user);
		if user_name ~= nil then
			rosters.process_inbound_subscription_approval(user_name, user_host, contact);
		end
	end
end

function module.command(arg)
	if arg[1] ~= "subscribe" then
		warn("This stand-in knows one command: subscribe USER CONTACT");
		return 1;
	end
	subscribe(arg[2], arg[3]);
	return 0;
end
