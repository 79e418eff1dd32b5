-- Recording, streaming, transcription and dial-out only for people whose own token allows it.
--
-- Runs before filter_iq_jibri and filter_iq_rayo, which also limit how often, and closes what they
-- leave open:
--   * They let every moderator pass whose session has no features. jitsi_permissions fills in
--     defaults only where a session sees its own promotion, and hands on the features of whoever
--     promotes, which stay after a demotion.
--   * Jicofo reads attributes with Java's toUpperCase, for which U+017F is an S too: they take such
--     a "start" for something harmless.
-- What counts are the features of the token at the login (mod_token_guard keeps them).
--
-- Goes on the VirtualHosts of people. No options.
local refuse = module:require "refuse";

local JIBRI, RAYO = "http://jitsi.org/protocol/jibri", "urn:xmpp:rayo:1";
local MODES = { file = "recording", stream = "livestreaming" };

-- The feature that a request to a recorder or a gateway needs; nil where it needs none, false where
-- nobody may send it.
local function needed_feature(payload)
	local attr = payload.attr;
	if payload.name == "dial" and attr.xmlns == RAYO then
		return attr.to == "jitsi_meet_transcribe" and "transcription" or "outbound-call";
	elseif payload.name ~= "jibri" or attr.xmlns ~= JIBRI then
		return nil;
	end
	local action = (attr.action or ""):lower();
	if action == "status" then
		return nil;
	elseif action ~= "start" and action ~= "stop" then
		return false;
	elseif attr.sipaddress then
		return "sip-outbound-call";
	end
	return MODES[(attr.recording_mode or ""):lower()] or false;
end

local function has_feature(session, feature)
	local features = session.token_guard_features;
	local value = feature and type(features) == "table" and features[feature];
	return value == true or value == "true";
end

local function check(event)
	local session, stanza = event.origin, event.stanza;
	local payload = stanza.tags[1];
	local feature = payload and needed_feature(payload);
	if feature == nil then
		return;
	elseif has_feature(session, feature) then
		-- Who is promoted by somebody without the feature lost it for the filters that come next
		session.jitsi_meet_context_features = session.token_guard_features;
		return;
	end
	module:log("info", "Refused %s %s", session.full_jid, feature or "an unknown request");
	return refuse(event, "auth", "forbidden");
end

for _, form in ipairs { "full", "bare", "host" } do
	module:hook("pre-iq/" .. form, check, 1000);
end

-- Transcription on the server is switched on in the room's metadata
module:hook("jitsi-metadata-allow-moderation", function (event)
	if event.key == "recording" and not has_feature(event.session, "transcription") then
		return false;
	end
end, 1000);
