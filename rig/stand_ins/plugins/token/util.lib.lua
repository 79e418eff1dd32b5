-- Stand-in (test double) for Jitsi's token/util.lib.lua: not Jitsi's code.
-- Logins and joins with a token. Keys from a key server are not part of the double, and it says so
-- instead of letting anybody in.
require "basexx";
require "ssl";
local inspect = require "inspect";
local jid = require "util.jid";
local jwt = module:require "luajwtjitsi";
local util = module:require "util";

local Verifier = {};
Verifier.__index = Verifier;

-- A verifier with the options of a host, or nil if that host has no issuer or no key.
function Verifier.new(host_module)
	local option = function (kind, ...)
		return host_module["get_option_" .. kind](host_module, ...);
	end
	local self = setmetatable({
		appId = option("string", "app_id"),
		appSecret = option("string", "app_secret"),
		algorithm = option("string", "signature_algorithm", "HS256"),
		allowEmptyToken = option("boolean", "allow_empty_token"),
		domainVerification = option("boolean", "enable_domain_verification", true),
		requireRoomClaim = option("boolean", "asap_require_room_claim", true),
		mucPrefix = option("string", "muc_mapper_domain_prefix", "conference"),
		mucBase = option("string", "muc_mapper_domain_base"),
		audiences = option("array", "asap_accepted_audiences", { "*" }),
	}, Verifier);
	if self.allowEmptyToken then
		host_module:log("warn", "WARNING - empty tokens allowed");
	end
	if not self.appId then
		host_module:log("error", "'app_id' must not be empty");
		return nil;
	end
	if option("string", "asap_key_server") or option("string", "cache_keys_url") then
		host_module:log("error", "This stand-in takes no keys from a server");
		return nil;
	end
	if not self.appSecret then
		host_module:log("error", "'app_secret', 'asap_key_server or 'cacheKeysUrl' must be specified");
		return nil;
	end
	self.issuers = option("array", "asap_accepted_issuers", { self.appId });
	self.mucDomain = self.mucBase
		and option("string", "muc_mapper_domain", self.mucPrefix .. "." .. self.mucBase);
	return self;
end

-- Checks the token of a session that logs in and notes its claims there. True; or false, the SASL
-- condition and the reason.
function Verifier:process_and_verify_token(session)
	if session.auth_token == nil then
		if self.allowEmptyToken then
			return true;
		end
		return false, "not-allowed", "token required";
	end
	local key = session.public_key or self.appSecret;
	local claims, problem = jwt.verify(
		session.auth_token, self.algorithm, key, self.issuers, self.audiences);
	if not claims then
		return false, "not-allowed", problem;
	end
	if self.requireRoomClaim and claims.room == nil then
		return false, "not-authorized", "room claim is missing";
	end
	if claims.sub == nil then
		return false, "not-authorized", "sub claim is missing";
	end
	session.jitsi_meet_room = claims.room;
	session.jitsi_meet_domain = claims.sub;
	session.jitsi_meet_auth_issuer = claims.iss;
	local context = claims.context;
	if context ~= nil then
		session.jitsi_meet_str_tenant = context.tenant;
		for _, name in ipairs { "user", "group", "features", "room" } do
			if context[name] ~= nil then
				session["jitsi_meet_context_" .. name] = context[name];
			end
		end
	elseif claims.user_id then
		session.jitsi_meet_context_user = { id = claims.user_id };
	end
	prosody.events.fire_event("jitsi-authentication-token-verified", { session = session, claims = claims });
	if session.contextRequired and context == nil then
		return false, "not-allowed", "jwt missing required context claim";
	end
	return true;
end

-- The room name that the claim allows for the room `name`, or nil; and an error with its reason.
local function allowed_name(session, claim, name)
	if claim == "*" then
		return name;
	end
	local details = session.jitsi_meet_context_room;
	if details and (details["regex"] == true or details["regex"] == "true") then
		local ok, match = pcall(string.match, name, claim);
		if not ok then
			return nil, "invalid-regex", "Room claim is not a valid Lua pattern";
		end
		return match;
	end
	return claim;
end

-- Whether a session may enter a room; if not also an error element and the reason, or nothing more
-- where tenant, domain or room differ.
function Verifier:verify_room(session, address)
	local node = jid.node(address);
	if node == nil then
		return false, "invalid-room-address", "Room address is invalid";
	end
	local room = util.get_room_from_jid(jid.join(node, self.mucDomain));
	if not room then
		module:log("info", "Room does not exists:%s", node);
		return false, "room-does-not-exist", "Room does not exist";
	end
	local closed = room._data.allowUnauthenticatedAccess == false;
	if self.allowEmptyToken and session.auth_token == nil then
		if closed then
			return false, "authentication-required", "Authentication required";
		end
		return true;
	end

	local claim = session.jitsi_meet_room;
	if type(claim) == "string" then
		claim = claim:lower();
	elseif claim then
		module:log("warn", "session.jitsi_meet_room not string: %s", inspect(claim));
	end

	-- Without domain verification every tenant's room of that name is open, and so is every room to
	-- people without a claim
	if not self.domainVerification then
		if not claim or claim == "*" or node == claim or util.ends_with(node, "]" .. claim) then
			return true;
		end
		return false, "room-mismatch", "Room does not match the room from token";
	end

	local tenant, name = util.extract_subdomain(node);
	local allowed, problem, reason = allowed_name(session, claim, name);
	if problem then
		return false, problem, reason;
	end
	if not allowed then
		if not self.requireRoomClaim then
			return true;
		end
		return false, "room-name-does-not-match", "Room name cannot be matched to the one from token.";
	end

	local claimed_tenant = session.jitsi_meet_str_tenant;
	if claimed_tenant and string.lower(claimed_tenant) ~= session.jitsi_web_query_prefix then
		session.jitsi_meet_tenant_mismatch = true;
		if closed then
			return false;
		end
		module:log("warn", "Tenant %s of the token differs from %s of the address",
			claimed_tenant, session.jitsi_web_query_prefix);
	end

	local domain = string.lower(session.jitsi_meet_domain);
	if tenant then
		if not self.mucBase then
			return false, "server-missing-config", "Misconfiguration of server";
		end
		local open_to = domain == "*" and tenant or domain;
		return jid.bare(address) == jid.join("[" .. open_to .. "]" .. allowed, self.mucDomain);
	end
	local host = domain == "*" and self.mucDomain or (self.mucPrefix .. "." .. domain);
	return jid.bare(address) == jid.join(allowed, host);
end

return Verifier;
