job "j" {
  ﻿priority = 1
}
