// @ts-check
/** What the endpoints answer that this page reads. Times: ms since the epoch. */

/** @typedef {import('../../../src/core/traffic-view.ts').TrafficView} TrafficView */
/** @typedef {import('../../../src/core/traffic-view.ts').ServiceTraffic} Traffic */
/** @typedef {TrafficView['instances'][string]} InstanceTraffic */
/** @typedef {import('../../../src/core/fleet-view.ts').FleetView} FleetView */
/** @typedef {import('../../../src/core/monitor-view.ts').AlertView} Alert */
/** @typedef {import('../../../src/core/monitor-view.ts').HistoryEntry} HistoryEntry */
/** @typedef {import('../../../src/core/monitor-view.ts').HistoryView} HistoryView */
/** @typedef {import('../../../src/core/admin-caller.ts').SessionView} SessionView */
/** @typedef {import('../../../src/core/views.ts').TopologyView} TopologyView */
/** @typedef {import('../../../src/core/views.ts').CanaryView} CanaryView */
/** @typedef {import('../../../src/core/views.ts').TablesView} TablesView */
export {}
