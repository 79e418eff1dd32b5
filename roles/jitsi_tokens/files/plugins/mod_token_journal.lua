-- Writes into the log why a token does not open a room: what its room and sub claim say, and what they
-- would have to say.
--
-- Jitsi's token_verification refuses with "Room and token mismatched", whichever of them it was. This
-- looks just before it, by its rules, and refuses nothing. What tokens lack to log in at all is written
-- by mod_token_guard.
--
-- Goes on the MUC component with token_verification.
--
-- Options (VirtualHost of the tokens, or global), as token_verification has them:
--   enable_domain_verification   whether the sub claim is looked at, true
local configmanager = require "core.configmanager";
local jid_split = require "util.jid".split;

local report = module:require "token_report";

local parent = module.host:gsub("^[^.]+%.", "");
local looks_at_sub = configmanager.get(parent, "enable_domain_verification") ~= false;

-- A Lua pattern of the token's in place of a name, as context.room.regex has it.
local function is_pattern(session)
	local regex = (session.jitsi_meet_context_room or {}).regex;
	return regex == true or regex == "true";
end

-- Whether the room claim fits a room.
local function room_fits(session, claim, name)
	if claim == "*" then
		return true;
	elseif not is_pattern(session) then
		return claim:lower() == name;
	end
	local ok, found = pcall(string.match, name, claim:lower());
	return ok and found == name;
end

-- What is wrong, or nil. The room's node is `[tenant]name`, or `name` alone.
local function mismatch(session, node)
	local tenant, name = node:match("^%[([^%]]+)%](.+)$");
	name = name or node;
	local claim, sub = session.jitsi_meet_room, session.jitsi_meet_domain;
	if type(claim) ~= "string" then
		return ("its room claim is %s, which is no name"):format(report.quote(claim));
	elseif not room_fits(session, claim, name) then
		local kind = is_pattern(session) and "room claim as a pattern" or "room claim";
		return ("its %s is %s, expected %s"):format(kind, report.quote(claim), report.quote(name));
	elseif not looks_at_sub or type(sub) ~= "string" or sub == "*" then
		return nil;
	elseif sub:lower() ~= (tenant or parent) then
		return ("its sub claim is %s, expected %s, %s, or \"*\""):format(report.quote(sub),
			report.quote(tenant or parent), tenant and "the tenant of the room" or "as the room has no tenant");
	end
end

local function look(event)
	local session, stanza = event.origin, event.stanza;
	local node = jid_split(stanza.attr.to);
	-- Others have no token: guests, machines, Jicofo
	if not node or session.jitsi_meet_room == nil or session.type ~= "c2s" then
		return;
	end
	local problem = mismatch(session, node);
	if problem then
		report.write("Token does not open the room %s: %s", report.quote(node), problem);
	end
end

-- Just before token_verification
module:hook("muc-room-pre-create", look, 99.5);
module:hook("muc-occupant-pre-join", look, 99.5);
