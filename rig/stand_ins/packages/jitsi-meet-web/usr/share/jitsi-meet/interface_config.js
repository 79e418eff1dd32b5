// Stand-in (test double)
var interfaceConfig = { APP_NAME: "Stand-in for tests" };
