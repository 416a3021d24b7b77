import ClusterModel
import Config

private let samples = [
    """
    teleport:
      nodename: hub
      data_dir: /var/lib/teleport
      auth_servers: ["10.0.0.1:3025"]
    auth_service:
      enabled: yes
      cluster_name: hub
      tokens: ["node:secret"]
    proxy_service: {enabled: yes, listen_addr: "0.0.0.0:3023"}
    ssh_service:
      labels: {role: db}
    """,
    """
    kind: trusted_cluster
    version: v2
    metadata: {name: hub}
    spec:
      enabled: true
      token: secret
      web_proxy_addr: hub:3080
      tunnel_addr: hub:3024
      role_map:
        - {remote: admin, local: [admin]}
    --- &a
    kind: role
    metadata: {name: dev}
    spec: {logins: [root, *a]}
    """,
].map { Array($0.utf8) }

func fuzzYAML(_ input: [UInt8]) {
    let bytes = edited(input, samples)
    _ = try? YAMLDocument.parseAll(bytes, file: "fuzz")
    _ = try? ConfigFile(parsing: bytes, file: "fuzz")
    _ = try? Topology(parsing: bytes, file: "fuzz")
    if let resources = try? ResourceYAML.resources(bytes, file: "fuzz") {
        guard let text = try? ResourceYAML.text(resources), let again = try? ResourceYAML.resources(Array(text.utf8), file: "again") else {
            fatalError("resources are written so that they are not read again: \(resources)")
        }
        expectSame(resources, again, "resources")
    }
}
