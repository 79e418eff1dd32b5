-- Stand-in (test double) for jitsi-meet-prosody: not Jitsi's code.
VirtualHost "jigasi.meet.jitsi"
    modules_enabled = { "ping"; "bosh"; "muc_password_check"; }
    authentication = "token"
    app_id = "jitsi"
    asap_key_server = "https://keys.example.org/jitsi-components"
    asap_accepted_issuers = { "jaas-components" }
    asap_accepted_audiences = { "jigasi.jitmeet.example.com" }
