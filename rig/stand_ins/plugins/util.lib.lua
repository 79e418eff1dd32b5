-- Stand-in (test double) for Jitsi's util.lib.lua: not Jitsi's code.
-- What the modules beside this file share.
local http_server = require "net.http.server";
local jid = require "util.jid";

local util = {};

local admins = module:get_option_inherited_set("admins", {}) / jid.prep;
local global_admins = module:context("*"):get_option_set("admins", {}) / jid.prep;

local muc_prefix = module:get_option_string("muc_mapper_domain_prefix", "conference");
local muc_base = module:get_option_string("muc_mapper_domain_base", module.host);
local muc_domain = module:get_option_string("muc_mapper_domain", muc_prefix .. "." .. muc_base);

local function literally(text)
	return (text:gsub("%p", "%%%0"));
end
local tenant_pattern = "^" .. literally(muc_prefix) .. "%.([^.]+)%." .. literally(muc_base);

-- Address under which somebody asked a whole MUC service, by the id of the question
local asked_services = {};

function util.is_admin(address)
	local bare = jid.bare(address);
	return admins:contains(bare) or global_admins:contains(bare);
end

function util.get_room_from_jid(address)
	local host = prosody.hosts[jid.host(address)];
	local muc = host and host.modules.muc;
	return muc and muc.get_room_from_jid(address);
end

-- Room of a meeting by its plain name; without a tenant "" or nil.
function util.get_room_by_name_and_subdomain(name, tenant)
	if tenant and tenant ~= "" and tenant ~= muc_base then
		name = "[" .. tenant .. "]" .. name;
	end
	return util.get_room_from_jid(jid.join(name, muc_domain));
end

function util.starts_with(text, start)
	return text ~= nil and text:sub(1, #start) == start;
end

function util.ends_with(text, ending)
	return text ~= nil and (ending == "" or text:sub(-#ending) == ending);
end

function util.is_healthcheck_room(address)
	return util.starts_with(address, "__jicofo-health-check");
end

-- Jicofo is known by its nick alone
function util.is_focus(nick)
	return util.ends_with(nick, "/focus");
end

-- And outside of rooms by the name of its account, whatever the host
function util.is_focus_jid(address)
	return jid.node(address) == "focus";
end

-- Whether the x element of a MUC's presence carries a status code.
function util.presence_check_status(x, code)
	for status in x and x:childtags("status") or function () end do
		if status.attr.code == code then
			return true;
		end
	end
	return false;
end

-- Features are those of a token or granted ones; without any, moderators may everything.
function util.is_feature_allowed(name, features, is_moderator)
	if features then
		return features[name] == true or features[name] == "true";
	end
	return is_moderator;
end

-- Address of a person, behind a proxy too.
function util.get_ip(session)
	local request = session.conn and http_server.get_request_from_conn(session.conn);
	return request and request.ip or session.ip;
end

-- Tenant (or nil) and plain name in the node of a room: [tenant]name or name.
function util.extract_subdomain(node)
	local tenant, name = node:match("^%[([^%]]+)%](.+)$");
	return tenant, name or node;
end

-- room@conference.tenant.D, as clients say it, becomes [tenant]room@conference.D.
function util.room_jid_match_rewrite(address, stanza)
	local node, host, resource = jid.split(address);
	local tenant = host and host:match(tenant_pattern);
	if not tenant then
		return address;
	end
	if not node and stanza and stanza.attr.id then
		asked_services[stanza.attr.id] = stanza.attr.to;
	end
	return jid.join(node and ("[" .. tenant .. "]" .. node), muc_domain, resource);
end

-- [tenant]room@conference.D becomes room@conference.tenant.D, as clients know it.
function util.internal_room_jid_match_rewrite(address, stanza)
	local asked = stanza and stanza.attr.id and asked_services[stanza.attr.id];
	if asked then
		asked_services[stanza.attr.id] = nil;
		return asked;
	end
	local node, host, resource = jid.split(address);
	if not node or host ~= muc_domain then
		return address;
	end
	local tenant, name = util.extract_subdomain(node);
	if not tenant then
		return address;
	end
	return jid.join(name, muc_prefix .. "." .. tenant .. "." .. muc_base, resource);
end

-- Calls back with the context of a host, now or as soon as that host is there.
function util.process_host_module(name, callback)
	local function process(host)
		if host == name then
			callback(module:context(host), host);
		end
	end
	if prosody.hosts[name] then
		process(name);
	else
		prosody.events.add_handler("host-activated", process, -100);
	end
end

-- Calls back with the context of a MUC component and its MUC, now or as soon as both are there.
function util.process_muc(name, callback)
	util.process_host_module(name, function (context)
		local function process()
			callback(context, prosody.hosts[name].modules.muc);
		end
		if prosody.hosts[name].modules.muc then
			process();
			return;
		end
		context:hook("module-loaded", function (event)
			if event.module == "muc" then
				process();
			end
		end);
	end);
end

-- Lets the main host tell clients about this component (mod_features_identity).
function util.advertise(name)
	util.process_host_module(module:get_option_string("muc_mapper_domain_base"), function (context)
		context:fire_event("jitsi-add-identity", { name = name, host = module.host });
	end);
end

return util;
