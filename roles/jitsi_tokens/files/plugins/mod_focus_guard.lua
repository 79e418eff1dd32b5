-- Lets people ask Jicofo for rooms of the meetings only.
--
-- Jicofo joins any room that it is asked for, also in MUCs that are closed to people. Asked for the
-- room in which it meets the bridges, it would leave that room when nobody joins.
--
-- Options (global):
--   muc_mapper_domain_base   main domain; meetings are at conference.<it>, conference.<tenant>.<it>
--                            and breakout.<it>
local jid = require "util.jid";
local st = require "util.stanza";

local suffix = "." .. module:get_option_string("muc_mapper_domain_base");
local RESERVED = "^__jicofo%-health%-check";

-- Of the address as Jicofo reads it: in small letters, and one form of those that look the same.
local function is_meeting(address)
	local room, host = jid.prepped_split(address or "");
	if not room or room:gsub("^%[[^%]]*%]", ""):find(RESERVED) then
		return false;
	end
	return host == "breakout" .. suffix
		or host:sub(1, 11) == "conference." and host:sub(-#suffix) == suffix;
end

local function refuse_others(event)
	local origin, stanza = event.origin, event.stanza;
	local request = stanza:get_child("conference", "http://jitsi.org/protocol/focus");
	if not request or is_meeting(request.attr.room)
		or stanza.attr.type == "result" or stanza.attr.type == "error" then
		return;
	end
	module:log("warn", "Refused %s a room that is no meeting", stanza.attr.from);
	origin.send(st.error_reply(stanza, "cancel", "not-allowed", "This is no room for a meeting"));
	return true;
end

-- Not "iq-set/full/…": Prosody fires that for no full JID, and the proxy takes every address
for _, form in ipairs { "host", "bare", "full" } do
	module:hook("iq/" .. form, refuse_others, 1000);
end
