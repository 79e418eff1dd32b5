-- Stand-in (test double) for Jitsi's mod_token_verification: not Jitsi's code.
-- Checks the room claim when somebody enters a MUC. It fails open as upstream: the parent host is found
-- by a pattern that a hyphen in the MUC's prefix breaks, and without a usable parent nothing is hooked.
local jid = require "util.jid";
local st = require "util.stanza";
local util = module:require "util";

local parent = module.host:match("%w+.(%w.+)");
if parent == nil then
	module:log("error", "Failed to start - unable to get parent hostname");
	return;
end
local verifier = module:require "token/util".new(module:context(parent));
if verifier == nil then
	return;
end

-- The secret in the debug log is upstream's leak
module:log("debug", "%s - starting MUC token verifier app_id: %s app_secret: %s allow empty: %s",
	module.host, verifier.appId, verifier.appSecret, tostring(verifier.allowEmptyToken));

local moderation_needs_token, allowlist;
local function load_options()
	moderation_needs_token = module:get_option_boolean("token_verification_require_token_for_moderation");
	allowlist = module:get_option_set("token_verification_allowlist", {});
end
load_options();
module:hook_global("config-reloaded", load_options);

local function is_exempt(session, address)
	return util.is_admin(address) or session.type == "s2sin"
		or allowlist:contains(jid.host(address)) or allowlist:contains(jid.bare(address));
end

local function refuse_strangers(event)
	local session, stanza = event.origin, event.stanza;
	if is_exempt(session, stanza.attr.from) then
		return;
	end
	local ok, problem, reason = verifier:verify_room(session, stanza.attr.to);
	if ok then
		return;
	end
	if not problem and not reason then
		reason = "Room and token mismatched";
	end
	-- The token in the log is upstream's leak
	module:log("error", "Token %s not allowed to join: %s err: %s reason: %s",
		tostring(session.auth_token), stanza.attr.to, tostring(problem), reason);
	local reply = st.error_reply(stanza, "cancel", "not-allowed", reason);
	if problem then
		reply:tag(problem, { xmlns = "http://jitsi.org/jitmeet" });
	end
	session.send(reply);
	return true;
end

module:hook("muc-room-pre-create", refuse_strangers, 99);
module:hook("muc-occupant-pre-join", refuse_strangers, 99);

-- Just before Prosody's own handler
local function refuse_moderation(event)
	local session, stanza = event.origin, event.stanza;
	if not moderation_needs_token or util.is_admin(stanza.attr.from)
		or (session.auth_token and session.jitsi_meet_room) then
		return;
	end
	session.send(st.error_reply(stanza, "cancel", "not-allowed", "Room modification disabled for guests"));
	return true;
end

for _, kind in ipairs { "bare", "host" } do
	module:hook("iq-set/" .. kind .. "/http://jabber.org/protocol/muc#owner:query", refuse_moderation, -1);
end
