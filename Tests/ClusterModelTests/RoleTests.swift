import Base
import ClusterModel
import Testing

@Suite("Labels and selectors")
struct LabelSelectorTests {
    struct Row: CustomTestStringConvertible, Sendable {
        let selector: [String: [String]]
        let labels: Labels
        let matches: Bool
        var testDescription: String { "\(selector) on \(labels)" }
    }

    static let rows = [
        Row(selector: ["env": ["prod"]], labels: ["env": "prod", "os": "linux"], matches: true),
        Row(selector: ["env": ["prod", "test"]], labels: ["env": "test"], matches: true),
        Row(selector: ["env": ["*"]], labels: ["env": "anything"], matches: true),
        Row(selector: ["*": ["*"]], labels: [:], matches: true),
        Row(selector: ["env": ["prod"], "os": ["linux"]], labels: ["env": "prod"], matches: false),
        Row(selector: ["env": ["prod"]], labels: ["env": "production"], matches: false),
        Row(selector: ["env": ["production"]], labels: ["env": "prod"], matches: false),
        Row(selector: ["env": ["prod*"]], labels: ["env": "production"], matches: false),
        Row(selector: ["env": ["^.*$"]], labels: ["env": "prod"], matches: false),
        Row(selector: ["env": ["PROD"]], labels: ["env": "prod"], matches: false),
        Row(selector: ["*": ["prod"]], labels: ["env": "prod"], matches: false),
        Row(selector: ["env": []], labels: ["env": "prod"], matches: false),
        Row(selector: [:], labels: ["env": "prod"], matches: false),
        Row(selector: [:], labels: [:], matches: false),
    ]

    @Test(arguments: rows)
    func `a selector is compared whole`(row: Row) {
        #expect(LabelSelector(row.selector).matches(row.labels) == row.matches)
    }

    @Test func `the command line's form`() throws {
        #expect(try LabelSelector(parsing: "env=prod,os=linux").values == ["env": ["prod"], "os": ["linux"]])
        for wrong in ["", "env", "=prod", "env=prod,", "env=a,env=b"] {
            #expect(throws: TeleportError.self) { try LabelSelector(parsing: wrong) }
        }
    }
}

@Suite("Who may log in where as whom")
struct AccessDecisionTests {
    private static let own = RoleConditions.ownLogins
    private static let prod = Role(
        name: "prod", allow: RoleConditions(logins: [own, "deploy"], nodeLabels: LabelSelector(["env": ["prod"]])))
    private static let noRoot = Role(name: "no-root", allow: RoleConditions(), deny: RoleConditions(logins: ["root"]))
    private static let noVault = Role(
        name: "no-vault", allow: RoleConditions(), deny: RoleConditions(nodeLabels: LabelSelector(["kind": ["vault"]])))
    private static let plain = Role(
        name: "plain", allow: RoleConditions(logins: ["guest"], nodeLabels: .everything),
        options: RoleOptions(
            maxSessionTTL: .seconds(600), permitPTY: true, permitPortForwarding: false, permitAgentForwarding: false, permitFileCopy: false)
    )
    private static let star = Role(name: "star", allow: RoleConditions(logins: ["*"], nodeLabels: .everything))
    private static let known = Dictionary(uniqueKeysWithValues: [prod, noRoot, noVault, plain, star].map { ($0.name, $0) })

    struct Row: CustomTestStringConvertible, Sendable {
        let roles: [String]
        let login: String
        let labels: Labels
        let allowed: Bool
        var testDescription: String { "\(roles) as \(login) on \(labels)" }
    }

    static let rows = [
        Row(roles: ["prod"], login: "root", labels: ["env": "prod"], allowed: true),
        Row(roles: ["prod"], login: "deploy", labels: ["env": "prod"], allowed: true),
        Row(roles: ["prod"], login: "other", labels: ["env": "prod"], allowed: false),
        Row(roles: ["prod"], login: "root", labels: ["env": "test"], allowed: false),
        Row(roles: ["prod"], login: "root", labels: [:], allowed: false),
        Row(roles: ["prod", "no-root"], login: "root", labels: ["env": "prod"], allowed: false),
        Row(roles: ["prod", "no-root"], login: "deploy", labels: ["env": "prod"], allowed: true),
        Row(roles: ["prod", "no-vault"], login: "root", labels: ["env": "prod", "kind": "vault"], allowed: false),
        // The login of one role on the nodes of another is nobody's.
        Row(roles: ["prod", "plain"], login: "guest", labels: ["env": "prod"], allowed: true),
        Row(roles: ["prod", "plain"], login: "deploy", labels: ["env": "test"], allowed: false),
        Row(roles: ["star"], login: "root", labels: [:], allowed: false),
        Row(roles: ["star"], login: "*", labels: [:], allowed: false),
        Row(roles: [], login: "root", labels: ["env": "prod"], allowed: false),
        Row(roles: ["nosuch"], login: "root", labels: ["env": "prod"], allowed: false),
        Row(roles: ["prod", "nosuch"], login: "root", labels: ["env": "prod"], allowed: false),
        Row(roles: ["PROD"], login: "root", labels: ["env": "prod"], allowed: false),
    ]

    @Test(arguments: rows)
    func `one role must allow login and node together, and none deny`(row: Row) {
        let snapshot = ClusterSnapshot(ClusterState(clusterName: "hub", roles: Array(Self.known.values)))
        let identity = AccessIdentity(cluster: "hub", name: "alice", roles: row.roles, logins: ["root"])
        switch snapshot.decide(identity, login: row.login, labels: row.labels) {
        case .allowed: #expect(row.allowed)
        case .denied(let reason):
            #expect(!row.allowed)
            #expect(!reason.isEmpty)
        }
    }

    @Test func `features come from the roles that allow the login here, file copy from all roles together`() throws {
        let roles = try RoleSet(names: ["prod", "plain"], known: Self.known)
        #expect(
            roles.decide(login: "guest", own: ["root"], labels: ["env": "prod"])
                == .allowed(
                    AccessOptions(permitPTY: true, permitPortForwarding: false, permitAgentForwarding: false, permitFileCopy: false)))
        #expect(
            roles.decide(login: "root", own: ["root"], labels: ["env": "prod"])
                == .allowed(AccessOptions(permitPTY: true, permitPortForwarding: true, permitAgentForwarding: true, permitFileCopy: false)))
        #expect(try RoleSet(names: ["prod"], known: Self.known).options.permitFileCopy)
    }

    @Test func `the shortest lifetime wins`() throws {
        #expect(try RoleSet(names: ["prod", "plain"], known: Self.known).maxSessionTTL == .seconds(600))
        #expect(try RoleSet(names: [], known: Self.known).maxSessionTTL == .zero)
    }

    @Test func `logins of the certificate are those allowed and not denied`() throws {
        #expect(
            try RoleSet(names: ["prod", "plain", "no-root"], known: Self.known).logins(own: ["root", "git"]) == ["git", "deploy", "guest"])
        #expect(try RoleSet(names: ["star"], known: Self.known).logins(own: ["root"]) == [])
    }
}

@Suite("Role mapping")
struct RoleMapTests {
    private func map(_ lines: [(String, [String])]) -> RoleMap { RoleMap(lines.map { RoleMap.Mapping(remote: $0.0, local: $0.1) }) }

    @Test func `what is not mapped is worth nothing, even under the same name`() {
        #expect(map([]).map(["admin", "access"]) == [])
        #expect(map([("dev", ["access"])]).map(["admin", "access"]) == [])
    }

    @Test(arguments: [["dev2"], ["xdev"], ["Dev"], ["dev "], [".*"], ["*"], ["$1"], [""]])
    func `a remote name is compared whole and as it is`(remote: [String]) {
        #expect(map([("dev", ["access"])]).map(remote) == [])
    }

    @Test func `several lines add up, each role once`() {
        let roles = map([("dev", ["access", "logs"]), ("ops", ["access"]), ("*", ["guest"])])
        #expect(roles.map(["dev", "ops"]) == ["access", "logs", "guest"])
        #expect(roles.map(["other"]) == ["guest"])
        #expect(roles.map([]) == [])
    }

    @Test(arguments: ["^.*$", "dev.*", "$1", "{{x}}", "", "a b"])
    func `a pattern is not a role name`(remote: String) {
        #expect(throws: TeleportError.self) { try map([(remote, ["access"])]).check() }
    }

    @Test func `the star never gives admin`() throws {
        #expect(throws: TeleportError.self) { try map([("*", ["admin"])]).check() }
        #expect(throws: TeleportError.self) { try map([("*", ["access", "admin"])]).check() }
        try map([("root-admin", ["admin"])]).check()
    }
}

@Suite("Durations as people write them")
struct DurationTextTests {
    @Test(arguments: [("30s", 30), ("15m", 900), ("12h", 43200), ("1h30m", 5400), ("7d", 604_800), ("0s", 0)])
    func `a number and a unit`(text: String, seconds: Int64) throws {
        #expect(try DurationText.parse(text) == .seconds(seconds))
    }

    @Test(arguments: ["", "h", "12", "12x", "1m1h", "1h1h", "-1h", "1.5h", "99999999999999999999s", "１h"])
    func `nothing else`(text: String) {
        #expect(throws: TeleportError.self) { try DurationText.parse(text) }
    }

    @Test(arguments: [0, 1, 59, 60, 3600, 5400, 108_000] as [Int64])
    func `what is written is read as the same`(seconds: Int64) throws {
        #expect(try DurationText.parse(DurationText.format(.seconds(seconds))) == .seconds(seconds))
    }
}
