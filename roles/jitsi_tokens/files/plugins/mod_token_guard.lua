-- Stricter reading of tokens, around Jitsi's auth_token on the same VirtualHost.
--
-- Before it: a token that is no JWT, too long, or has claims of the wrong type is refused. Left to
-- auth_token and token_verification, some of those end in a Lua error and no answer at all.
-- After it: a token without `exp` would be valid for ever and is refused, and so are wildcards that
-- the operator switched off, and tenants that are not listed. Then the token is forgotten, because
-- token_verification writes it into the log when it denies a join; the other modules only ask whether
-- there was one. Its features are kept apart for mod_recording_guard, as others change them.
--
-- Options (VirtualHost):
--   token_guard_max_bytes       longest accepted token, 8192 bytes
--   token_guard_wildcard_room   whether the room claim may be "*", true
--   token_guard_wildcard_sub    whether the sub claim may be "*", true
--   token_guard_tenants         names that the sub claim may have besides the domain and "*"; empty
--                               for any
local base64 = require "util.encodings".base64;
local json = require "util.json";

local max_bytes = module:get_option_number("token_guard_max_bytes", 8192);
local wildcard_room = module:get_option_boolean("token_guard_wildcard_room", true);
local wildcard_sub = module:get_option_boolean("token_guard_wildcard_sub", true);
local tenants = module:get_option_set("token_guard_tenants", {}) / string.lower;

local FORGOTTEN = "(verified, not kept)";

local function is_object(value)
	return type(value) == "table" and value ~= json.null;
end

local function refuse(reason)
	return { res = false, error = "not-allowed", reason = reason };
end

-- The JSON object in one base64url part of a token (RFC 7515, section 2), or nil.
local function decode_part(part)
	local padded = part:gsub("-", "+"):gsub("_", "/") .. ("="):rep(-#part % 4);
	local text = base64.decode(padded);
	local value = text and json.decode(text);
	if is_object(value) then
		return value;
	end
end

-- Header and claims of a compact JWS whose parts have the right form, or nil.
local function decode(token)
	local header, claims = token:match("^([%w_-]+)%.([%w_-]+)%.[%w_-]+$");
	if header then
		return decode_part(header), decode_part(claims);
	end
end

local function is_ours(session)
	return session.host == module.host;
end

module:hook_global("pre-jitsi-authentication-fetch-key", function (session)
	local token = session.auth_token;
	if not is_ours(session) or token == nil then
		return; -- auth_token itself refuses a missing token
	end
	if #token > max_bytes then
		return refuse("Token too long");
	end
	local header, claims = decode(token);
	if not header or not claims or type(header.alg) ~= "string" then
		return refuse("Invalid token");
	end
	for _, name in ipairs { "iss", "sub", "room" } do
		if claims[name] ~= nil and type(claims[name]) ~= "string" then
			return refuse(name .. " must be string");
		end
	end
	-- `false` would pass for a time that is not there
	for _, name in ipairs { "exp", "nbf", "iat" } do
		if claims[name] ~= nil and type(claims[name]) ~= "number" then
			return refuse(name .. " must be number");
		end
	end
	if claims.context ~= nil and not is_object(claims.context) then
		return refuse("context must be object");
	end
	local tenant = claims.context and claims.context.tenant;
	if tenant ~= nil and type(tenant) ~= "string" then
		return refuse("context.tenant must be string");
	end
	for _, name in ipairs { "user", "features", "room" } do
		local value = claims.context and claims.context[name];
		if value ~= nil and not is_object(value) then
			return refuse("context." .. name .. " must be object");
		end
	end
end, 1000);

module:hook_global("post-jitsi-authentication", function (session)
	if not is_ours(session) or session.auth_token == nil then
		return;
	end
	local _, claims = decode(session.auth_token);
	if not claims or claims.exp == nil then
		return refuse("exp claim is missing");
	end
	-- With context.room.regex the claim is a pattern, and may fit every room as well
	local context_room = claims.context and claims.context.room;
	local regex = context_room and context_room.regex;
	if not wildcard_room and (claims.room == "*" or regex == true or regex == "true") then
		return refuse("room claim may not be a wildcard");
	end
	if not wildcard_sub and claims.sub == "*" then
		return refuse("sub claim may not be a wildcard");
	end
	local sub = claims.sub:lower();
	if not tenants:empty() and sub ~= "*" and sub ~= module.host and not tenants:contains(sub) then
		return refuse("sub claim names no tenant of this server");
	end
	session.token_guard_features = session.jitsi_meet_context_features;
	session.auth_token = FORGOTTEN;
end, -1000);
