-- Stand-in (test double) for Jitsi's luajwtjitsi.lib.lua: not Jitsi's code.
-- Checks a signed token (RFC 7519). Like the real one it trusts that header and claims are objects: a
-- token with a `null` in their place ends in a traceback.
local basexx = require "basexx";
local json = require "cjson.safe";
local digest = require "openssl.digest";
local hmac = require "openssl.hmac";
local pkey = require "openssl.pkey";

local function checks_hmac(hash)
	return function (signed, signature, key)
		return hmac.new(key, hash):final(signed) == signature;
	end
end

local function checks_rsa(hash)
	return function (signed, signature, key)
		return pkey.new(key):verify(signature, digest.new(hash):update(signed));
	end
end

local checks = {
	HS256 = checks_hmac("sha256"), HS384 = checks_hmac("sha384"), HS512 = checks_hmac("sha512"),
	RS256 = checks_rsa("sha256"), RS384 = checks_rsa("sha384"), RS512 = checks_rsa("sha512"),
};

-- Header, claims, signature and what was signed; or nothing and what is wrong. Empty parts do not
-- count, so a token with an empty signature has two.
local function parse(token)
	local parts = {};
	for part in token:gmatch("[^.\\]+") do
		parts[#parts + 1] = part;
	end
	if #parts ~= 3 then
		return nil, "Invalid token";
	end
	local header, header_error = json.decode(basexx.from_url64(parts[1]));
	if header_error then
		return nil, "Invalid header";
	end
	local claims, claims_error = json.decode(basexx.from_url64(parts[2]));
	if claims_error then
		return nil, "Invalid body";
	end
	local signature, signature_error = basexx.from_url64(parts[3]);
	if signature_error then
		return nil, "Invalid signature";
	end
	return { header = header, claims = claims, signature = signature,
		signed = parts[1] .. "." .. parts[2] };
end

-- What is wrong with the time claims, or nil.
local function time_problem(claims)
	for _, name in ipairs { "exp", "nbf" } do
		if claims[name] and type(claims[name]) ~= "number" then
			return name .. " must be number";
		end
	end
	local now = os.time();
	if claims.exp and now >= claims.exp then
		local valid = claims.iat and (", valid for:" .. tostring(claims.exp - claims.iat) .. " sec") or "";
		return "Not acceptable by exp (" .. tostring(now - claims.exp) .. " sec since expired" .. valid .. ")";
	end
	if claims.nbf and now < claims.nbf then
		return "Not acceptable by nbf";
	end
end

-- What is wrong with a claim that has to be one of a list, or nil. `*` accepts every value, but the
-- claim has to be there.
local function membership_problem(claims, name, accepted)
	if claims[name] == nil then
		return "'" .. name .. "' claim is missing";
	end
	for _, value in ipairs(accepted) do
		if value == "*" or value == claims[name] then
			return nil;
		end
	end
	return "invalid '" .. name .. "' claim";
end

-- The claims of a token that is good; or nil and what is wrong.
local function verify(token, algorithm, key, issuers, audiences)
	local check = checks[algorithm];
	if not check then
		return nil, "Algorithm not supported";
	end
	local parsed, parse_error = parse(token);
	if not parsed then
		return nil, parse_error;
	end
	if parsed.header.typ ~= "JWT" then
		return nil, "Invalid typ";
	end
	if parsed.header.alg ~= algorithm then
		return nil, "Invalid or incorrect alg";
	end
	if not check(parsed.signed, parsed.signature, key) then
		return nil, "Invalid signature";
	end
	local claims = parsed.claims;
	local problem = time_problem(claims)
		or membership_problem(claims, "iss", issuers)
		or membership_problem(claims, "aud", audiences);
	if problem then
		return nil, problem;
	end
	return claims;
end

return { verify = verify };
