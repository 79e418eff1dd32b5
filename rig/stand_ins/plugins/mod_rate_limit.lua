-- Stand-in (test double) for Jitsi's mod_rate_limit: not Jitsi's code.
-- Reads slowly from addresses that log in too often and from sessions that send too much, and ends
-- sessions that go on. Loopback addresses are exempt.
local cache = require "util.cache";
local filters = require "util.filters";
local ip = require "util.ip";
local now = require "util.time".now;
local new_throttle = require "util.throttle".create;
local util = module:require "util";

local PERIOD = 2; -- seconds in which a rate may be used up
local REFRESH = 5; -- seconds after the limiting of an address in which another login renews it

local function number(name, default)
	return module:get_option_number("rate_limit_" .. name, default);
end
local login_rate = number("login_rate", 3); -- in PERIOD, as all rates of events
local stanza_rates = { presence = number("presence_rate", 4), iq = number("iq_rate", 15),
	message = number("message_rate", 3) };
local bytes_by_address = number("ip_rate", 2000); -- a second
local bytes_by_session = number("session_rate", 1000); -- a second
local timeout = number("timeout", 60); -- seconds
local max_violations = number("max_violations", 10);
local exempt = module:get_option_set("rate_limit_whitelist", { "127.0.0.1", "::1" });
local exempt_hosts = module:get_option_set("rate_limit_whitelist_hosts", {});

local logins = cache.new(number("cache_size", 10000)); -- throttle by address
local limited = cache.new(number("cache_size", 10000)); -- time of the limiting by address

local function is_exempt(address)
	local parsed = ip.new_ip(address);
	for network in exempt do
		if ip.match(parsed, ip.parse_cidr(network)) then
			return true;
		end
	end
	return false;
end

-- For a time, or for good without `seconds`.
local function slow_down(session, rate, seconds)
	if session.is_slowed or not session.conn or not session.conn.setlimit then
		return;
	end
	module:log("info", "Reads %d bytes/s from %s", rate, util.get_ip(session));
	session.is_slowed = true;
	session.conn:setlimit(rate);
	if seconds then
		module:add_timer(seconds, function ()
			session.is_slowed = nil;
			session.violations = 0;
			if session.conn then
				session.conn:setlimit(0);
			end
		end);
	end
end

local function check_stanza(stanza, session)
	local throttle = session.stanza_throttles[stanza.name];
	if not throttle or throttle:poll(1) then
		return stanza;
	end
	if session.is_slowed then
		session.violations = session.violations + 1;
		if session.violations >= max_violations then
			session:close({ condition = "policy-violation", text = "Rate limit exceeded" });
			return;
		end
	end
	slow_down(session, bytes_by_session, timeout);
	return stanza;
end

local function check_address(session, address)
	if not logins:get(address) then
		logins:set(address, new_throttle(login_rate, PERIOD));
	end
	if not logins:get(address):poll(1) then
		module:log("info", "Too many logins from %s", address);
		limited:set(address, now());
	end
	local since = limited:get(address);
	local age = since and now() - since;
	if not age then
		return;
	elseif age >= timeout then
		limited:set(address, nil);
		return;
	elseif age < REFRESH then
		limited:set(address, now());
	end
	slow_down(session, bytes_by_address);
end

local function watch(session)
	local address = not session.outgoing and util.get_ip(session);
	if not address or is_exempt(address) or exempt_hosts:contains(session.host) then
		return;
	end
	session.violations = 0;
	session.stanza_throttles = {};
	for name, rate in pairs(stanza_rates) do
		session.stanza_throttles[name] = new_throttle(rate, PERIOD);
	end
	filters.add_filter(session, "stanzas/in", check_stanza);
	check_address(session, address);
end

function module.load()
	filters.add_filter_hook(watch);
end

function module.unload()
	filters.remove_filter_hook(watch);
end
