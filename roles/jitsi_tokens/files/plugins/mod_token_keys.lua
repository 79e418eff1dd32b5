-- The keys that sign tokens, and the tokens that are revoked, from files that may change at any time.
--
-- A file is JSON, and is looked at every two seconds and whenever somebody logs in: one that changed is
-- read anew, without a reload, and nobody is dropped but whom it revokes. One that cannot be read as a
-- whole changes nothing, and the log says why; at the start there is no key then, and nobody gets in.
--   {"keys": [{"kid": "...", "algorithm": "HS256", "secret": "...", or "public_key": "... in PEM form",
--              "issuers": ["..."], "tenants": ["..."], "not_before": 0, "not_after": 0}],
--    "revoked": {"kids": [], "jtis": [], "users": [], "issued_before": 0}}
-- Left out: `kid` for a key that is tried whatever the token names, `tenants` for a key that signs for
-- the domain and all tenants, times (seconds since 1970), and anything of `revoked`.
--
-- This finds keys and judges by them. mod_token_guard asks it at the login, mod_key_guard at the door
-- of a room. Open sessions whose token is revoked are closed here.
--
-- Options (VirtualHost):
--   token_keys_file    path of the file that has to be there; /etc/vestibule/tokens/keys.json
--   token_keys_others  paths of files that need not be there, each with more keys; none
--   token_keys_pause   time between two looks at the files, 2 seconds
local lfs = require "lfs";
local hashes = require "util.hashes";
local json = require "cjson.safe".new();
local digest = require "openssl.digest";
local pkey = require "openssl.pkey";
local sessionmanager = require "core.sessionmanager";

local report = module:require "token_report";

local file = module:get_option_string("token_keys_file", "/etc/vestibule/tokens/keys.json");
local paths = { file };
for _, path in ipairs(module:get_option_array("token_keys_others", {})) do
	table.insert(paths, path);
end

local DIGESTS = { RS256 = "sha256", RS384 = "sha384", RS512 = "sha512" };
local LONGEST_KID = 256; -- bytes
local LEAST_SECRET = 32; -- bytes

-- By path: what it looked like, what it says, and what it looked like when it could not be read
local stamps, contents, failed = {}, {}, {};
-- Signers for tokens without a kid, by kid, and for those whose kid no key has
local all, by_kid, nameless, revoked, has_revoked = {}, {}, {}, {}, false;

local function set_of(list)
	local set = {};
	for _, each in ipairs(list) do
		set[each] = true;
	end
	return set;
end

-- A list of texts, as a set.
local function texts(value, name)
	assert(type(value) == "table", name .. " is no list");
	for _, each in ipairs(value) do
		assert(type(each) == "string", name .. " has what is no text");
	end
	return set_of(value);
end

local function optional(value, kind, name)
	assert(value == nil or type(value) == kind, name .. " is no " .. kind);
	return value;
end

local function key_of(said)
	assert(type(said) == "table", "a key is no object");
	local kid = optional(said.kid, "string", "kid");
	assert(kid == nil or #kid <= LONGEST_KID, "a kid is too long");
	local key = {
		kid = kid, algorithm = said.algorithm, issuers = texts(said.issuers, "issuers"),
		not_before = optional(said.not_before, "number", "not_before"),
		not_after = optional(said.not_after, "number", "not_after"),
		tenants = said.tenants ~= nil and texts(said.tenants, "tenants") or nil,
	};
	if said.algorithm == "HS256" then
		assert(type(said.secret) == "string" and #said.secret >= LEAST_SECRET, "a secret is too short");
		key.secret = said.secret;
	else
		assert(DIGESTS[said.algorithm], "an algorithm is none of HS256, RS256, RS384 and RS512");
		assert(type(said.public_key) == "string", "a key has no public_key");
		key.public_key = pkey.new(said.public_key);
		key.pem = key.public_key:toPEM("public");
	end
	return key;
end

local function read(path)
	local handle = assert(io.open(path, "rb"));
	local text = handle:read("*a");
	handle:close();
	local said = json.decode(text);
	assert(type(said) == "table" and type(said.keys) == "table", "it is no object with keys");
	local content = { keys = {}, revoked = {} };
	for i, each in ipairs(said.keys) do
		content.keys[i] = key_of(each);
	end
	local no_more = said.revoked or {};
	assert(type(no_more) == "table", "revoked is no object");
	for _, name in ipairs { "kids", "jtis", "users" } do
		content.revoked[name] = texts(no_more[name] or {}, name);
	end
	content.revoked.issued_before = optional(no_more.issued_before, "number", "issued_before");
	return content;
end

-- Puts a key to the signer that it is of: what makes one signature, for one key or more, which then
-- differ in their issuers, their tenants or their times.
local function add(signers, key)
	local signer;
	for _, each in ipairs(signers) do
		if each.algorithm == key.algorithm and each.secret == key.secret and each.pem == key.pem then
			signer = each;
		end
	end
	if not signer then
		signer = { algorithm = key.algorithm, secret = key.secret, public_key = key.public_key, pem = key.pem };
		table.insert(signers, signer);
	end
	table.insert(signer, key);
end

-- Puts together what the files say.
local function gather()
	all, by_kid, nameless = {}, {}, {};
	revoked, has_revoked = { kids = {}, jtis = {}, users = {} }, false;
	for _, path in ipairs(paths) do
		local content = contents[path] or { keys = {}, revoked = {} };
		for _, key in ipairs(content.keys) do
			add(all, key);
			if key.kid then
				by_kid[key.kid] = by_kid[key.kid] or {};
				add(by_kid[key.kid], key);
			else
				add(nameless, key);
			end
		end
		for name, value in pairs(content.revoked) do
			if type(value) == "table" then
				for each in pairs(value) do
					revoked[name][each], has_revoked = true, true;
				end
			else
				revoked[name] = math.max(revoked[name] or value, value);
				has_revoked = true;
			end
		end
	end
end

-- Reads a file where it changed. True where that changed what it says.
local attributes = {}; -- filled anew each time, as every login looks
local function look_at(path)
	local seen = lfs.attributes(path, attributes);
	local stamp = seen and ("%d %d %d %d"):format(seen.ino, seen.modification, seen.change, seen.size);
	if stamp == stamps[path] then
		return false;
	end
	if not stamp and path ~= file then
		stamps[path], contents[path] = nil, nil;
		return true;
	end
	local ok, content = pcall(read, path);
	if ok then
		stamps[path], failed[path], contents[path] = stamp, nil, content;
		module:log("info", "%s has %d keys of tokens", path, #content.keys);
	elseif failed[path] ~= (stamp or "none") then -- and is tried again: it may have been for a moment
		failed[path] = stamp or "none";
		module:log("error", "%s cannot be used (%s), and what it said before counts", path,
			(tostring(content):gsub("^%S+:%d+: ", "")));
	end
	return ok;
end

local function refresh()
	local changed = false;
	for _, path in ipairs(paths) do
		changed = look_at(path) or changed;
	end
	if changed then
		gather();
	end
end

-- The same text for a number in any version of Lua.
local function name_of(value)
	if type(value) == "number" then
		return value % 1 == 0 and ("%.0f"):format(value) or tostring(value);
	end
	return type(value) == "string" and value or nil;
end

-- Which token it is, of a key and with claims: what is kept of it for `is_revoked` and `opens`.
local function mark(key, claims)
	local context = claims.context;
	local user = context == nil and claims.user_id or context and context.user and context.user.id;
	return {
		kid = key.kid, jti = name_of(claims.jti), user = name_of(user), iat = claims.iat,
		tenants = key.tenants,
	};
end

-- Whether a token counts no more.
local function is_revoked(token)
	if not has_revoked then
		return false;
	end
	return token.kid ~= nil and revoked.kids[token.kid]
		or token.jti ~= nil and revoked.jtis[token.jti]
		or token.user ~= nil and revoked.users[token.user]
		or revoked.issued_before ~= nil and (token.iat == nil or token.iat < revoked.issued_before)
		or false;
end

-- Whether the key of a token may sign for a tenant, nil for none.
local function opens(token, tenant)
	return token.tenants == nil or tenant ~= nil and token.tenants[tenant] == true;
end

local function counts(key, now)
	return (not key.not_before or now >= key.not_before) and (not key.not_after or now < key.not_after);
end

-- Whether a signer made this signature, in bytes.
local function has_signed(signer, signed, signature)
	if signer.secret then
		return hashes.equals(hashes.hmac_sha256(signer.secret, signed), signature);
	end
	local ok, verified = pcall(function ()
		return signer.public_key:verify(signature, digest.new(DIGESTS[signer.algorithm]):update(signed));
	end);
	return ok and verified == true;
end

-- The keys of a signer that count now, where it made a signature; or nil.
local function counting(signer, signed, signature, now)
	if not has_signed(signer, signed, signature) then
		return nil;
	end
	local found;
	for _, key in ipairs(signer) do
		if counts(key, now) then
			found = found or {};
			table.insert(found, key);
		end
	end
	return found;
end

-- Why none of the signers made a signature: what the bearer is told, and what the log says beside that.
local function problem_with(signers, header, now)
	local has_algorithm = false;
	for _, signer in ipairs(signers) do
		for _, key in ipairs(signer.algorithm == header.alg and signer or {}) do
			if counts(key, now) then
				return "Invalid signature", "it was not signed with the key of this server, or was changed";
			end
			has_algorithm = true;
		end
	end
	if has_algorithm then
		return "Key not valid now", ("the key %s counts no more, or not yet"):format(report.quote(header.kid));
	elseif signers[1] then
		return "Invalid or incorrect alg", ("alg in its header is %s, expected %s"):format(
			report.quote(header.alg), report.quote(signers[1].algorithm));
	end
	return "Unknown kid", ("kid in its header is %s, which no key of this server has"):format(
		report.quote(header.kid));
end

-- The keys that count now and made the signature, in bytes, of a token with this header; or nil, what its
-- bearer is told, and what the log says beside that.
local function keys_of(header, signed, signature, now)
	refresh();
	local kid = header.kid;
	if kid ~= nil and (type(kid) ~= "string" or #kid > LONGEST_KID) then
		return nil, "Invalid kid", "kid in its header is no text of at most 256 bytes";
	end
	local signers = kid == nil and all or by_kid[kid] or nameless;
	-- The one before was probably of the same application
	local latest = signers.latest and signers.latest[header.alg];
	local found = latest and counting(latest, signed, signature, now);
	if found then
		return found;
	end
	for _, signer in ipairs(signers) do
		if signer ~= latest and signer.algorithm == header.alg then
			found = counting(signer, signed, signature, now);
			if found then
				signers.latest = signers.latest or {};
				signers.latest[header.alg] = signer;
				return found;
			end
		end
	end
	return nil, problem_with(signers, header, now);
end

local function names(set)
	local list = {};
	for each in pairs(set) do
		table.insert(list, each);
	end
	table.sort(list);
	return report.quote(#list == 1 and list[1] or list);
end

-- Why a key may not sign these claims: what its bearer is told, and what the log says; or nothing.
local function problem_of(key, claims)
	if claims.iss == nil then
		return "'iss' claim is missing", "its iss claim is missing, expected " .. names(key.issuers);
	elseif not key.issuers[claims.iss] then
		return "invalid 'iss' claim", ("its iss claim is %s, expected %s, for which its key %s signs"):format(
			report.quote(claims.iss), names(key.issuers), report.quote(key.kid));
	elseif not key.tenants or claims.sub == nil then
		return nil; -- auth_token refuses it without a sub
	end
	for _, name in ipairs { claims.sub, claims.context and claims.context.tenant } do
		if not key.tenants[name:lower()] then
			return "sub claim is no tenant of the key",
				("its sub claim or context.tenant is %s, expected %s, for which its key %s signs"):format(
					report.quote(name), names(key.tenants), report.quote(key.kid));
		end
	end
	-- Prosody does nothing else while it matches one, and a bad one takes minutes
	local regex = claims.context and claims.context.room and claims.context.room.regex;
	if regex == true or regex == "true" then
		return "room claim may not be a pattern",
			("its context.room.regex is %s, and its key %s signs for tenants, whose tokens name one room or \"*\""):format(
				report.quote(regex), report.quote(key.kid));
	end
end

-- Closes a session as its server does, also one that waits for its client to come back.
local function close(session)
	session:close({ condition = "policy-violation", text = "Token revoked" });
	if not session.destroyed and session.hibernating then
		sessionmanager.destroy_session(session, "Token revoked");
	end
end

local function close_revoked()
	if not has_revoked then
		return;
	end
	local gone = {};
	for _, session in pairs(prosody.full_sessions) do
		if session.host == module.host and session.token_guard_key
			and is_revoked(session.token_guard_key) then
			table.insert(gone, session);
		end
	end
	for _, session in ipairs(gone) do
		close(session);
	end
end

local pause, watch;
local function read_settings()
	local seconds = module:get_option_number("token_keys_pause", 2);
	assert(seconds and seconds > 0 and seconds < math.huge, "token_keys_pause has to be a number of seconds above 0");
	if seconds == pause then
		return;
	end
	local this = {};
	pause, watch = seconds, this;
	module:add_timer(seconds, function ()
		if watch ~= this then
			return; -- another one looks meanwhile
		end
		refresh();
		close_revoked();
		return seconds;
	end);
end
read_settings();
module:hook_global("config-reloaded", read_settings);

refresh();

-- For modules that depend on this one
for name, exported in pairs {
	keys_of = keys_of, problem_of = problem_of, mark = mark, is_revoked = is_revoked, opens = opens,
} do
	module.environment[name] = exported;
end
