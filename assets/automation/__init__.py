"""When assets are materialised: partitions, conditions, jobs, schedules, sensors and the plan."""
