-- At the door of a room: what the key of a token allows, and whether the token is revoked.
--
-- token_verification compares the claims of a token with the room. Who signed it, it does not know: a
-- key of one tenant opens no room of another, nor one without tenant, whatever its claims say.
--
-- Goes on the MUC component with token_verification. The keys are those of mod_token_keys, on the
-- VirtualHost of the tokens. No options.
local jid_node = require "util.jid".node;

local refuse = module:require "refuse";

local parent = module.host:gsub("^[^.]+%.", "");

local function look(event)
	local token = event.origin.token_guard_key;
	if not token then
		return; -- guests, machines, Jicofo
	end
	local keys = prosody.hosts[parent].modules.token_keys;
	if not keys then
		return refuse(event, "cancel", "not-allowed", "Nobody knows the keys of tokens");
	elseif keys.is_revoked(token) then
		return refuse(event, "cancel", "not-allowed", "Token revoked");
	elseif not keys.opens(token, (jid_node(event.stanza.attr.to) or ""):match("^%[([^%]]+)%].")) then
		return refuse(event, "cancel", "not-allowed", "Room and token mismatched");
	end
end

-- After token_verification, which says more of what is wrong
module:hook("muc-room-pre-create", look, 98);
module:hook("muc-occupant-pre-join", look, 98);
