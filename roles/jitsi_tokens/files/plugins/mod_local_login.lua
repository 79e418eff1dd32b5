-- Closes a VirtualHost to people: only connections from allowed networks may log in, and stanzas from
-- people of other hosts end here.
--
-- BOSH and WebSocket are open to the world and reach every VirtualHost by the `to` of the stream.
-- Without this module the passwords of Jicofo, bridges and recorders can be tried from outside, an
-- account could be flooded, and Jicofo be reached past its proxy.
--
-- Goes on VirtualHosts of machines, and on the MUC in which they meet.
--
-- Options (VirtualHost, MUC component or global):
--   local_login_hosts          other hosts whose sessions may send something here, { }
--   local_login_networks       networks of direct connections in CIDR notation, the loopback networks
--   local_login_accounts       accounts that log in from one address each, and from nowhere else, { }: the
--                              name before the @, and the address
--   local_login_web_networks   networks from which BOSH and WebSocket are taken as well, { }; recorders
--                              enter meetings in a browser
--   c2s_ports                  Prosody's own: ports of direct connections, { 5222 }
--   c2s_direct_tls_ports       Prosody's own: those that begin with TLS, { }
local ip = require "util.ip";
local st = require "util.stanza";
local refuse = module:require "refuse";

local is_muc = module:get_host_type() == "component";
local hosts = module:get_option_set("local_login_hosts", {});
hosts:add(module.host);
local direct_ports = module:get_option_set("c2s_ports", { 5222 })
	+ module:get_option_set("c2s_direct_tls_ports", {});

local function networks_of(option, default)
	local networks = {};
	for network in module:get_option_set(option, default) do
		local address, bits = ip.parse_cidr(network);
		networks[#networks + 1] = { address = address, bits = bits };
	end
	return networks;
end
local direct_networks = networks_of("local_login_networks", { "127.0.0.0/8", "::1/128" });
local web_networks = networks_of("local_login_web_networks", {});

local addresses_of = {}; -- by account
local of_accounts = {};
for account, text in pairs(module:get_option("local_login_accounts", {})) do
	local address = ip.new_ip(text);
	addresses_of[account] = { { address = address } };
	of_accounts[#of_accounts + 1] = { address = address };
end

-- Whether one of these networks has the address
local function has(networks, address)
	for _, network in ipairs(networks) do
		if ip.match(address, network.address, network.bits) then
			return true;
		end
	end
	return false;
end

-- True for a session from an allowed network. The port tells direct connections from BOSH and
-- WebSocket, whose address is the one that the web server saw. Who it is that logs in is known when
-- the login is done.
local function is_local(session, account)
	local conn = session.conn;
	-- LuaSocket gives the port as a string on some versions
	local port = conn and conn.serverport and tonumber(conn:serverport());
	local is_direct = direct_ports:contains(port);
	local address = ip.new_ip(is_direct and conn:ip() or session.ip or "");
	if not address then
		return false;
	end
	if not is_direct then
		return has(web_networks, address);
	elseif account then
		return has(addresses_of[account] or direct_networks, address);
	end
	return has(direct_networks, address) or has(of_accounts, address);
end

-- Before mod_saslauth and all others: returning true ends the event, so nothing is offered.
module:hook("stream-features", function (event)
	if not event.origin.username and not is_local(event.origin) then
		return true;
	end
end, 10000);

local function refuse_login(event)
	local session = event.origin;
	if session.username or is_local(session) then
		return;
	end
	session.log("warn", "Refused a login from outside");
	session.send(st.stanza("failure", { xmlns = "urn:ietf:params:xml:ns:xmpp-sasl" })
		:tag("not-authorized"):up()
		:text_tag("text", "This host is closed to people"));
	return true;
end

for _, element in ipairs { "auth", "response" } do
	module:hook("stanza/urn:ietf:params:xml:ns:xmpp-sasl:" .. element, refuse_login, 10000);
end

-- Whoever says yes to a login, nobody is of this host who may not log in here
module:hook("pre-resource-bind", function (event)
	if not is_local(event.session, event.session.username) then
		event.session.log("warn", "Refused a session from outside");
		return false;
	end
end, 10000);

local function refuse_stanza(event)
	local origin = event.origin;
	if origin.type ~= "c2s" or hosts:contains(origin.host) then
		return; -- rooms and components speak for whom they let in
	end
	return refuse(event, "cancel", is_muc and "item-not-found" or "service-unavailable");
end

-- Who enters rooms of the MUC is up to muc_filter_access beside this module.
local kinds = is_muc and { "iq", "message" } or { "iq", "message", "presence" };
for _, kind in ipairs(kinds) do
	for _, form in ipairs { "host", "bare", "full" } do
		module:hook(kind .. "/" .. form, refuse_stanza, 10000);
	end
end
