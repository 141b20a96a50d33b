"""Libraries' own suites, run on asyncio and once more under `cede run`: what passes there passes here."""
