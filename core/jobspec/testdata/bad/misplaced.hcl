job "j" {
  restart {}
  network {}
  service {}
  env {}
  consul {}
  disconnect {}
  group "g" {
    periodic {}
    task "t" {
      update {}
      network {}
    }
    service {
      connect {
        sidecar_task {
          restart {}
          lifecycle {}
        }
      }
    }
  }
}
