-- Stand-in (test double) for Jitsi's mod_client_proxy: not Jitsi's code.
-- Passes questions on to the sessions of one account and their answers back. The account tells this
-- component about its sessions by presence, so each has to be in the other's roster.
if module:get_host_type() ~= "component" then
	error("client_proxy is a component", 0);
end

local jid = require "util.jid";
local st = require "util.stanza";

local target = module:get_option_string("target_address");
local resources = {}; -- list of the target's sessions

local function forget(resource)
	for index = #resources, 1, -1 do
		if resource == nil or resources[index] == resource then
			table.remove(resources, index);
		end
	end
end

local function refuse(stanza, condition)
	module:send(st.error_reply(stanza, "cancel", condition));
end

local function handle_target_presence(stanza)
	local resource, kind = jid.resource(stanza.attr.from), stanza.attr.type;
	if kind == "error" then
		forget();
	elseif kind == "unavailable" or kind == nil then
		forget(resource);
		if kind == nil then
			table.insert(resources, resource);
		end
	end
end

local function handle_answer(stanza)
	local asker = jid.prep(jid.resource(stanza.attr.to));
	if stanza.name == "iq" and (stanza.attr.type == "result" or stanza.attr.type == "error") then
		if asker then
			stanza.attr.from, stanza.attr.to = module.host, asker;
			module:send(stanza);
		end
	elseif stanza.name ~= "presence" then
		refuse(stanza, "feature-not-implemented");
	end
end

local function handle_question(stanza)
	local kind = stanza.attr.type;
	if stanza.name == "presence" then
		if kind ~= "error" then
			refuse(stanza, "bad-request");
		end
	elseif stanza.name == "message" then
		refuse(stanza, "feature-not-implemented");
	elseif kind == "get" or kind == "set" then
		if #resources == 0 then
			refuse(stanza, "service-unavailable");
			return;
		end
		stanza.attr.from = module.host .. "/" .. stanza.attr.from;
		stanza.attr.to = target .. "/" .. resources[math.random(#resources)];
		module:send(stanza);
	end
end

local function handle(event)
	local stanza = event.stanza;
	if jid.bare(stanza.attr.from) ~= target then
		handle_question(stanza);
	elseif jid.resource(stanza.attr.to) then
		handle_answer(stanza);
	elseif stanza.name == "presence" then
		handle_target_presence(stanza);
	else
		refuse(stanza, "bad-request");
	end
	return true;
end

for _, name in ipairs { "iq", "message", "presence" } do
	for _, kind in ipairs { "bare", "full", "host" } do
		module:hook(name .. "/" .. kind, handle, -1);
	end
end

module:send(st.presence({ type = "subscribe", from = module.host, to = target }));
