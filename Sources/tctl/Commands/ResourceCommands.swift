import ArgumentParser
import AuthAPI
import Base
import ClusterModel
import Config
import EventLoop
import Programs

struct CreateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Creates resources from a YAML file; - reads stdin.",
        discussion: "Example: tctl create trusted_cluster.yaml")
    @OptionGroup var admin: AdminOptions
    @Flag(name: [.short, .long], help: "Replace what exists.") var force = false
    @Argument(help: "The file.") var file: String

    func run() throws {
        let bytes = file == "-" ? try FileIO.readAll(0, max: 1 << 20, name: "stdin") : try FileIO.read(file, max: 1 << 20)
        let resources = try ResourceYAML.resources(bytes, file: file)
        guard !resources.isEmpty else { throw TeleportError.badParameter("\(file) holds no resource") }
        let force = force
        try admin.run { client, _ in
            for resource in resources {
                try await client.put(resource, replace: force)
                print("\(resource.kind.rawValue)/\(resource.name) is created")
            }
        }
    }
}

/// `KIND` or `KIND/NAME`; a name may hold further slashes.
struct ResourceReference: ExpressibleByArgument, Sendable {
    let kind: ResourceKind
    let name: String?

    init?(argument: String) {
        let parts = argument.split(separator: "/", maxSplits: 1)
        guard let first = parts.first, let kind = ResourceKind(typed: String(first)) else { return nil }
        self.kind = kind
        name = parts.count > 1 ? String(parts[1]) : nil
    }

    /// What wrong usage is answered with, and the help.
    static let allValueStrings = ResourceKind.allCases.map(\.rawValue)
    static let help = "KIND or KIND/NAME"
}

struct GetCommand: ParsableCommand {
    enum Format: String, ExpressibleByArgument, CaseIterable, Sendable { case yaml, json }

    static let configuration = CommandConfiguration(
        commandName: "get", abstract: "Prints resources in the form that `tctl create` reads.", discussion: "Example: tctl get role/access")
    @OptionGroup var admin: AdminOptions
    @Option(help: "yaml or json.") var format = Format.yaml
    @Flag(help: "The private halves of authorities too; on the auth server's own host only.") var withSecrets = false
    @Argument(help: ArgumentHelp(stringLiteral: ResourceReference.help)) var resource: ResourceReference

    func run() throws {
        let (format, resource) = (format, resource)
        if withSecrets {
            guard resource.kind == .certificateAuthority else { throw ValidationError("--with-secrets goes with cert_authority") }
            try AuthoritySecretsReader.show(config: admin.config, name: resource.name, format: format)
            return
        }
        try admin.run { client, _ in
            let found = try await client.resources(resource.kind, name: resource.name)
            guard !found.isEmpty || resource.name == nil else {
                throw TeleportError.notFound("no \(resource.kind.rawValue) \(resource.name ?? "")")
            }
            switch format {
            case .json: print(try JSONOutput.text(found))
            case .yaml: print(try ResourceYAML.text(found), terminator: "")
            }
        }
    }
}

struct RemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Removes a resource.", discussion: "Example: tctl rm trusted_cluster/hub")
    @OptionGroup var admin: AdminOptions
    @Argument(help: ArgumentHelp(stringLiteral: ResourceReference.help)) var resource: ResourceReference

    func validate() throws {
        guard resource.name != nil else { throw ValidationError("name the resource: KIND/NAME") }
    }

    func run() throws {
        let resource = resource
        try admin.run { client, _ in
            let name = resource.name ?? ""
            try await client.delete(resource.kind, name: name)
            print("\(resource.kind.rawValue)/\(name) is removed")
        }
    }
}
