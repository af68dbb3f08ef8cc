import { defineConfig } from 'vitest/config'

const shared = { environment: 'node' as const, pool: 'forks' as const, retry: 0 }

export default defineConfig({
  test: {
    projects: [
      { test: { ...shared, name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 10_000 } },
      {
        test: {
          ...shared,
          name: 'servers',
          include: ['test/{integration,security,e2e}/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
})
