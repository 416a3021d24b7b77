import ArgumentParser
import AuthAPI
import Base
import ClusterModel
import Programs

struct UsersCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "users", abstract: "Users of this cluster.", discussion: "Example: tctl users add alice root,deploy --roles=access",
        subcommands: [Add.self, List.self, Remove.self, Update.self, Reset.self])

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "add", abstract: "Adds a user and prints a one-time sign-up URL.",
            discussion: "Example: tctl users add alice root,deploy --ttl=30m")
        @OptionGroup var admin: AdminOptions
        @Argument(help: "The user's name.") var name: String
        @Argument(help: ArgumentHelp("Logins on the nodes, separated by commas.", valueName: "login[,login…]")) var logins: String
        @Option(help: "Roles, separated by commas.") var roles = Role.accessName
        @Option(help: "How long the URL is good for, such as 30m or 1h.") var ttl = DurationText(.seconds(3600))
        @Option(help: "text or json.") var format = OutputFormat.text

        func run() throws {
            let user = User(name: name, roles: commaList(roles), logins: commaList(logins))
            let (ttl, format) = (ttl, format)
            try admin.run { client, _ in
                let invite = try await client.inviteUser(InviteRequest(user: user, ttlSeconds: ttl.seconds))
                try Self.show(invite, user: user.name, ttl: ttl, caPin: try await client.status().caPin, format: format)
            }
        }

        static func show(_ invite: InviteResponse, user: String, ttl: DurationText, caPin: String, format: OutputFormat) throws {
            switch format {
            case .json: print(try JSONOutput.text(["url": invite.url, "token": invite.token, "user": user, "ca_pin": caPin]))
            case .text:
                print("\(user) signs up, once and within \(ttl), with:")
                print("")
                print("    tsh signup --ca-pin=\(caPin) \(invite.url)")
            }
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls", abstract: "Lists the users.", discussion: "Example: tctl users ls --format=json")
        @OptionGroup var admin: AdminOptions
        @Option(help: "text or json.") var format = OutputFormat.text

        func run() throws {
            let format = format
            try admin.run { client, _ in
                let users = try await client.resources(.user).compactMap { if case .user(let user) = $0 { user } else { nil } }
                try format.show(users.map(UserLine.init)) {
                    var table = Table(["User", "Allowed to log in as", "Roles"])
                    for user in users { table.add([user.name, user.logins.joined(separator: ","), user.roles.joined(separator: ",")]) }
                    return table
                }
            }
        }
    }

    struct UserLine: Encodable {
        let name: String
        let logins: [String]
        let roles: [String]

        init(_ user: User) {
            name = user.name
            logins = user.logins
            roles = user.roles
        }
    }

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "rm", abstract: "Removes a user.", discussion: "Example: tctl users rm alice")
        @OptionGroup var admin: AdminOptions
        @Argument(help: "The user's name.") var name: String

        func run() throws {
            let name = name
            try admin.run { client, _ in
                try await client.delete(.user, name: name)
                print("user \(name) is removed")
            }
        }
    }

    struct Update: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "update", abstract: "Changes a user's logins or roles.",
            discussion: "Example: tctl users update alice --logins=root")
        @OptionGroup var admin: AdminOptions
        @Argument(help: "The user's name.") var name: String
        @Option(help: "Logins, separated by commas.") var logins: String?
        @Option(help: "Roles, separated by commas.") var roles: String?

        func validate() throws {
            guard logins != nil || roles != nil else { throw ValidationError("say what to change: --logins or --roles") }
        }

        func run() throws {
            let (name, logins, roles) = (name, logins, roles)
            try admin.run { client, _ in
                guard case .user(var user)? = try await client.resources(.user, name: name).first else {
                    throw TeleportError.notFound("no user \(name)")
                }
                if let logins { user.logins = commaList(logins) }
                if let roles { user.roles = commaList(roles) }
                try await client.put(.user(user), replace: true)
                print("user \(name) is updated; certificates issued before stay as they are until they expire")
            }
        }
    }

    struct Reset: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "reset", abstract: "Lets a user choose a new password and second factor, with a new one-time URL.",
            discussion: "Example: tctl users reset alice")
        @OptionGroup var admin: AdminOptions
        @Argument(help: "The user's name.") var name: String
        @Option(help: "How long the URL is good for.") var ttl = DurationText(.seconds(3600))
        @Option(help: "text or json.") var format = OutputFormat.text

        func run() throws {
            let (name, ttl, format) = (name, ttl, format)
            try admin.run { client, _ in
                guard case .user(let user)? = try await client.resources(.user, name: name).first else {
                    throw TeleportError.notFound("no user \(name)")
                }
                let invite = try await client.inviteUser(InviteRequest(user: user, ttlSeconds: ttl.seconds, reset: true))
                try Add.show(invite, user: name, ttl: ttl, caPin: try await client.status().caPin, format: format)
            }
        }
    }
}
