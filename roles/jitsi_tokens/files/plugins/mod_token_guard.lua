-- Stricter reading of tokens, around Jitsi's auth_token on the same VirtualHost.
--
-- Before it, cheapest first: a token that is too long, no JWT, signed with none of the keys that
-- mod_token_keys has, or has claims of the wrong type is refused. Left to auth_token and
-- token_verification, some of those end in a Lua error and no answer at all, and all of them cost more.
-- Then come the times. A token has to end (`exp`), and soon enough that its end means something: not in
-- milliseconds, not in the year 9999. Then the key: it signs for its issuers and tenants alone.
-- auth_token knows one secret (app_secret), no leeway, and no list of audiences, so it gets the same
-- claims signed anew with that: with times that fit where the token is late or early by no more than the
-- leeway, and with the accepted one of its audiences. It verifies all of it as usual. A header may lack
-- `typ`: RFC 7519 lets it. With another `typ` than "JWT" it is a token for something else.
-- After it: wildcards that the operator switched off are refused, and tenants that are not listed. Then
-- the token is forgotten, because token_verification writes it into the log when it denies a join; the
-- other modules only ask whether there was one. Kept for our other modules, and carried by
-- mod_resumption_guard where a session resumes:
--   session.token_guard_features   features in the token, as others change those of auth_token
--   session.token_guard_door       which rooms the token opens, equal for tokens that open the same
--   session.token_guard_owner      whether it makes an owner
--   session.token_guard_key        which token it is, and of which key, as mod_token_keys keeps it
-- Why a token does not count is written into the log: the claim, what is expected, and what came.
--
-- What is judged is what auth_token reads: the same JSON parser, and base64url in its only canonical
-- form. With another `signature_algorithm` than HS256, or keys from a server, the signature is
-- auth_token's alone, and there are neither keys of ours nor a leeway.
--
-- Options (VirtualHost):
--   token_guard_max_bytes       longest accepted token, 8192 bytes
--   token_guard_max_lifetime    longest time from `iat` to `exp`, and from now, 86400 seconds
--   token_guard_leeway          by how much other clocks may differ from this one, 30 seconds
--   token_guard_wildcard_room   whether the room claim may be "*", true
--   token_guard_wildcard_sub    whether the sub claim may be "*", true
--   token_guard_tenants         names that the sub claim may have besides the domain and "*"; empty
--                               for any
-- As auth_token has them: app_id, app_secret, signature_algorithm, asap_key_server, cache_keys_url,
-- asap_accepted_issuers, asap_accepted_audiences.
local encodings = require "util.encodings";
local hashes = require "util.hashes";
local json = require "cjson.safe".new();

local base64, valid_utf8 = encodings.base64, encodings.utf8.valid;
json.decode_invalid_numbers(false); -- NaN and Infinity are no JSON

local is_token_owner = module:require "token_owner";
local report = module:require "token_report";

local wildcard_room = module:get_option_boolean("token_guard_wildcard_room", true);
local wildcard_sub = module:get_option_boolean("token_guard_wildcard_sub", true);
local tenants = module:get_option_set("token_guard_tenants", {}) / string.lower;

local secret = module:get_option_string("app_secret");
local keys; -- nil where auth_token takes others, or may
if module:get_option_string("signature_algorithm", "HS256") == "HS256"
	and not module:get_option_string("asap_key_server") and not module:get_option_string("cache_keys_url") then
	keys = module:depends("token_keys");
end

local max_bytes, max_lifetime, leeway;
local function read_settings()
	max_bytes = module:get_option_number("token_guard_max_bytes", 8192);
	max_lifetime = module:get_option_number("token_guard_max_lifetime", 86400);
	leeway = keys and module:get_option_number("token_guard_leeway", 30) or 0;
end
read_settings();
module:hook_global("config-reloaded", read_settings);

local issuers = module:get_option_array("asap_accepted_issuers", { module:get_option_string("app_id") });
local audiences = module:get_option_array("asap_accepted_audiences", { "*" });

local FORGOTTEN = "(verified, not kept)";
local END_OF_TIME = 253402300800; -- the year 10000; today in milliseconds is later

-- Claims of tokens and their marks, on their way through auth_token, by session.
local judged = setmetatable({}, { __mode = "k" });

local function is_object(value)
	return type(value) == "table";
end

local function refuse(reason, ...)
	return { res = false, error = "not-allowed", reason = reason:format(...) };
end

-- A refusal whose reason says less to its reader than the log does to the operator.
local function refuse_and_tell(reason, detail, ...)
	local refusal = refuse("%s", reason);
	refusal.detail = detail:format(...);
	return refusal;
end

local function tell(session, problem)
	local room = session.jitsi_web_query_room;
	report.write("Token refused%s: %s", room and (" on the way to the room " .. report.quote(room)) or "", problem);
end

local function contains(accepted, value)
	for _, each in ipairs(accepted) do
		if each == "*" or each == value then
			return true;
		end
	end
end

local function one_of(accepted)
	return report.quote(#accepted == 1 and accepted[1] or accepted);
end

-- The audience that is accepted, of a claim that is one or has several; or nil.
local function accepted_audience(aud)
	if type(aud) == "string" then
		return contains(audiences, aud) and aud or nil;
	end
	for _, each in ipairs(type(aud) == "table" and aud or {}) do
		if type(each) == "string" and contains(audiences, each) then
			return each;
		end
	end
end

-- Which claim auth_token will refuse, what it expects and what came; or nil.
local function claim_problem(header, claims)
	if header.typ ~= "JWT" and (header.typ ~= nil or not keys) then
		return ("typ in its header is %s, expected \"JWT\""):format(report.quote(header.typ));
	elseif claims.iss == nil or not contains(issuers, claims.iss) then
		return ("its iss claim is %s, expected %s"):format(report.quote(claims.iss), one_of(issuers));
	elseif not accepted_audience(claims.aud) or type(claims.aud) == "table" and not keys then
		local hint = not keys and type(claims.aud) == "table" and " as one string" or "";
		return ("its aud claim is %s, expected %s%s"):format(report.quote(claims.aud), one_of(audiences), hint);
	elseif claims.room == nil then
		return "its room claim is missing, expected the name of the room";
	elseif claims.sub == nil then
		return ("its sub claim is missing, expected %s or a tenant"):format(report.quote(module.host));
	end
end

local URL_SAFE = { ["+"] = "-", ["/"] = "_", ["="] = "" };
local function to_base64url(text)
	return (base64.encode(text):gsub("[+/=]", URL_SAFE));
end

-- By how many characters are above a multiple of four: what fills them up, and how they end where no
-- bit is set that says nothing
local PADDING = { [0] = "", [2] = "==", [3] = "=" };
local LAST = { [0] = "", [2] = "[AQgw]$", [3] = "[AEIMQUYcgkosw048]$" };

-- The bytes in one base64url part of a token (RFC 7515, section 2), or nil. No other part has the same.
local function bytes_of(part)
	local above = #part % 4;
	if LAST[above] and part:find(LAST[above]) then
		return base64.decode(part:gsub("-", "+"):gsub("_", "/") .. PADDING[above]);
	end
end

-- The same of a part that is a text.
local function text_of(part)
	local text = bytes_of(part);
	return text and valid_utf8(text) and text or nil;
end

-- The object in some JSON, or nil.
local function object_of(text)
	local value = text and json.decode(text);
	return is_object(value) and value or nil;
end

-- Whether JSON has characters that XML cannot carry, as they are or escaped. They would break the
-- streams of everybody who is told of a name with one.
local function breaks_xml(text)
	if not text:find("[%c\\\239]") then
		return false; -- as nearly all
	end
	for code in text:gmatch("\\u00([01]%x)") do
		if not ("09 0a 0d"):find(code:lower(), 1, true) then
			return true;
		end
	end
	return text:find("[\0-\8\11\12\14-\31]") or text:find("\\u[fF][fF][fF][eEfF]")
		or text:find("\239\191[\190\191]");
end

local TEXTS, OBJECTS, TIMES = { "iss", "sub", "room" }, { "user", "features", "room" }, { "exp", "nbf", "iat" };

-- What is wrong with the type of a claim, or nil.
local function type_problem(claims)
	for _, name in ipairs(TEXTS) do
		if claims[name] ~= nil and type(claims[name]) ~= "string" then
			return name .. " must be string";
		end
	end
	local context = claims.context;
	if context == nil then
		return nil;
	elseif not is_object(context) then
		return "context must be object";
	end
	if context.tenant ~= nil and type(context.tenant) ~= "string" then
		return "context.tenant must be string";
	end
	for _, name in ipairs(OBJECTS) do
		if context[name] ~= nil and not is_object(context[name]) then
			return "context." .. name .. " must be object";
		end
	end
end

-- What is wrong with the times, or nil.
local function time_problem(claims, now)
	for _, name in ipairs(TIMES) do
		local time = claims[name];
		-- `false` would pass for a time that is not there
		if time ~= nil and type(time) ~= "number" then
			return name .. " must be number";
		elseif time and not (time > -END_OF_TIME and time < END_OF_TIME) then -- as well if it is no number
			return ("Not acceptable by %s (no time in seconds since 1970, perhaps in milliseconds)"):format(name);
		end
	end
	local exp, nbf, iat = claims.exp, claims.nbf, claims.iat;
	if exp == nil then
		return "exp claim is missing";
	elseif now >= exp + leeway then
		return ("Not acceptable by exp (%.0f sec since expired)"):format(now - exp);
	elseif nbf and now + leeway < nbf then
		return ("Not acceptable by nbf (valid in %.0f sec)"):format(nbf - now);
	elseif iat and exp - iat > max_lifetime then
		return ("Not acceptable by exp (%.0f sec after iat, %d are allowed)"):format(exp - iat, max_lifetime);
	elseif exp - now > max_lifetime + leeway then -- whatever iat says
		return ("Not acceptable by exp (%.0f sec from now, %d are allowed)"):format(exp - now, max_lifetime);
	end
end

local HEADER = to_base64url('{"typ":"JWT","alg":"HS256"}'); -- of what auth_token gets

-- The same token as auth_token takes it, which has verified nothing yet; the token itself where that
-- takes it as it is, or shall refuse it.
-- Of members with one name the last one counts in cjson, so nothing is changed but what is added.
local function fit_for_auth_token(token, header, text, claims, key, now)
	if not keys or header.typ ~= nil and header.typ ~= "JWT" then
		return token;
	end
	local part, changes = token:match("%.(.+)%."), "";
	if now >= claims.exp or claims.nbf and now < claims.nbf then
		changes = (',"exp":%d,"nbf":0'):format(now + 60);
	end
	local aud = type(claims.aud) == "table" and accepted_audience(claims.aud);
	if aud then
		changes = changes .. ',"aud":' .. json.encode(aud);
	end
	if changes ~= "" then
		text = text:gsub("%s*}%s*$", "") .. changes .. "}";
		if not object_of(text) then
			return token;
		end
		part = to_base64url(text);
	elseif header.typ == "JWT" and key.secret == secret then
		return token;
	end
	local signed = HEADER .. "." .. part;
	return signed .. "." .. to_base64url(hashes.hmac_sha256(secret, signed));
end

-- What is wrong with the claims, whoever signed them, as a refusal; or nil, the claims, and their text.
local function read_claims(part, now)
	local text = text_of(part);
	local claims = object_of(text);
	if not claims or breaks_xml(text) then
		return refuse_and_tell("Invalid token", "its claims are no object in JSON that XML could carry");
	end
	local problem = type_problem(claims) or time_problem(claims, now);
	if problem then
		return refuse("%s", problem);
	end
	return nil, claims, text;
end

-- A refusal; or nil, the claims, their text, and the key that signed them for its own issuers and tenants.
local function verify(header, header_part, claims_part, signature, now)
	local signed = header_part .. "." .. claims_part;
	local found, reason, detail = keys.keys_of(header, signed, bytes_of(signature) or "", now);
	if not found then
		return refuse_and_tell(reason, "%s", detail);
	end
	local refusal, claims, text = read_claims(claims_part, now);
	if refusal then
		return refusal;
	end
	for _, key in ipairs(found) do
		reason, detail = keys.problem_of(key, claims);
		if not reason then
			return nil, claims, text, key;
		end
	end
	return refuse_and_tell(reason, "%s", detail);
end

-- A refusal and nothing; or nil, the claims, the header, the mark of the token, and the token for
-- auth_token to verify.
local function judge(token, now)
	if #token > max_bytes then
		return refuse_and_tell("Token too long", "it has %d bytes, at most %d are taken", #token, max_bytes);
	end
	local header_part, claims_part, signature = token:match("^([%w_-]+)%.([%w_-]+)%.([%w_-]+)$");
	local header = header_part and object_of(text_of(header_part));
	-- `crit` names what a reader has to understand (RFC 7515, section 4.1.11), and here is nobody who does
	if not header or type(header.alg) ~= "string" or header.crit ~= nil then
		return refuse_and_tell("Invalid token", "it is no JWT with an alg and without crit in its header");
	end
	if not keys then
		local refusal, claims = read_claims(claims_part, now);
		return refusal, claims, header, nil, token;
	end
	local refusal, claims, text, key = verify(header, header_part, claims_part, signature, now);
	if refusal then
		return refusal;
	end
	local mark = keys.mark(key, claims);
	if keys.is_revoked(mark) then
		return refuse("Token revoked");
	end
	return nil, claims, header, mark, fit_for_auth_token(token, header, text, claims, key, now);
end

-- Sessions of other hosts get here when they resume with a token in the URL, and auth_token asks.
local function is_ours(session)
	local host = prosody.hosts[session.host];
	return session.host == module.host or not (host and host.modules.auth_token);
end

module:hook_global("pre-jitsi-authentication-fetch-key", function (session)
	local token = session.auth_token;
	if not is_ours(session) or token == nil then
		return; -- auth_token itself refuses a missing token
	elseif session.host ~= module.host then
		return refuse("Tokens are for %s", module.host);
	end
	local refusal, claims, header, mark;
	refusal, claims, header, mark, session.auth_token = judge(token, os.time());
	judged[session] = not refusal and { claims = claims, mark = mark } or nil;
	local problem = refusal and (refusal.detail or refusal.reason)
		or not refusal and claim_problem(header, claims);
	if problem then
		tell(session, problem);
	end
	return refusal;
end, 1000);

-- Which rooms a token opens, in one text.
local function door_of(claims)
	local context = claims.context or {};
	local regex = context.room and context.room.regex;
	return table.concat({
		(claims.room or ""):lower(), claims.sub:lower(), (context.tenant or ""):lower(), tostring(regex or false),
	}, "\0");
end

module:hook_global("post-jitsi-authentication", function (session)
	if not is_ours(session) or session.auth_token == nil then
		return;
	end
	local judgement = judged[session];
	judged[session] = nil;
	if not judgement then
		return refuse("Invalid token"); -- nobody has looked at it
	end
	local claims = judgement.claims;
	-- With context.room.regex the claim is a pattern, and may fit every room as well
	local context = claims.context or {};
	local regex = context.room and context.room.regex;
	if not wildcard_room and (claims.room == "*" or regex == true or regex == "true") then
		tell(session, "its room claim is a wildcard, and token_guard_wildcard_room is off");
		return refuse("room claim may not be a wildcard");
	end
	if not wildcard_sub and claims.sub == "*" then
		tell(session, "its sub claim is a wildcard, and token_guard_wildcard_sub is off");
		return refuse("sub claim may not be a wildcard");
	end
	local sub = claims.sub:lower();
	if not tenants:empty() and sub ~= "*" and sub ~= module.host and not tenants:contains(sub) then
		tell(session, ("its sub claim is %s, which is no tenant of this server"):format(report.quote(claims.sub)));
		return refuse("sub claim names no tenant of this server");
	end
	session.token_guard_features = context.features;
	session.token_guard_door = door_of(claims);
	session.token_guard_key = judgement.mark;
	session.token_guard_owner = is_token_owner(session);
	session.auth_token = FORGOTTEN;
end, -1000);
