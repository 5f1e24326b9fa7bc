"""What a scene changes in the compiled model: box, colors, lights, table camera, friction and the screwdriver."""

import mujoco
import numpy as np

from prana_ros.simulation.mjcf import TABLE_CAMERA_POSITION, TABLE_CAMERA_TARGET, look_at
from prana_ros.simulation.scene import TOOL_BACK, TOOL_RADIUS, TOOL_TIP, Scene


class SceneApplier:
    """Writes scenes into a model, always from the values that it was compiled with: no recompilation, no leftovers."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model = model
        self._lights = model.light_diffuse.copy()
        headlight = model.vis.headlight
        self._headlight = headlight.ambient.copy(), headlight.diffuse.copy()
        self._friction = model.geom_friction.copy()
        self._tool = model.body("tool").id
        first, number = model.body_geomadr[self._tool], model.body_geomnum[self._tool]
        self._tool_geoms = range(first, first + number)
        self._tool_inertia = float(model.body_mass[self._tool]), model.body_inertia[self._tool].copy()
        self._tool_center = model.body_ipos[self._tool].copy()
        self._shapes = model.geom_size.copy(), model.geom_pos.copy()
        self._constants = mujoco.MjData(model)

    def apply(self, scene: Scene) -> None:
        """Make the model that of ``scene``; positions of movable things are the caller's."""
        self._place_box(scene)
        self._color(scene)
        self._turn_camera(scene)
        self._model.geom_friction[:] = self._friction * scene.friction
        self._shape_tool(scene)
        self._weigh_tool(scene)

    def _place_box(self, scene: Scene) -> None:
        box = self._model.body("box")
        box.pos[:2] = scene.box_position
        box.quat[:] = (np.cos(scene.box_yaw / 2), 0, 0, np.sin(scene.box_yaw / 2))

    def _color(self, scene: Scene) -> None:
        model = self._model
        box = model.body("box")
        for index in range(box.geomadr[0], box.geomadr[0] + box.geomnum[0]):
            model.geom_rgba[index, :3] = scene.box_color
        model.geom("handle").rgba[:3] = scene.tool_color
        model.geom("table").rgba[:3] = scene.table_color
        model.light_diffuse[:] = self._lights * scene.light
        model.vis.headlight.ambient[:] = self._headlight[0] * scene.light
        model.vis.headlight.diffuse[:] = self._headlight[1] * scene.light

    def _turn_camera(self, scene: Scene) -> None:
        camera, aim, turn = self._model.camera("table"), np.zeros(4), np.zeros(4)
        camera.pos[:] = np.add(TABLE_CAMERA_POSITION, scene.camera_shift)
        mujoco.mju_mat2Quat(aim, look_at(TABLE_CAMERA_POSITION, TABLE_CAMERA_TARGET).ravel())
        angle = float(np.linalg.norm(scene.camera_turn))
        mujoco.mju_axisAngle2Quat(turn, np.asarray(scene.camera_turn) / (angle or 1.0), angle)
        mujoco.mju_mulQuat(camera.quat, turn, aim)

    def _shape_tool(self, scene: Scene) -> None:
        """Handle, shaft and collar keep their ends together: the shaft's thickness and the collar's depth stay."""
        model, (sizes, positions) = self._model, self._shapes
        longer, thicker = scene.tool_length - 1, scene.tool_thickness - 1
        for geom in self._tool_geoms:
            model.geom_size[geom], model.geom_pos[geom] = sizes[geom], positions[geom]
        handle, shaft, collar = self._tool_geoms
        model.geom_size[handle, 0] += thicker * TOOL_RADIUS
        model.geom_size[handle, 1] += -longer * TOOL_BACK - thicker * TOOL_RADIUS
        model.geom_size[shaft, 1] += longer * (TOOL_TIP + TOOL_BACK) / 2
        model.geom_pos[shaft, 0] += longer * (TOOL_TIP - TOOL_BACK) / 2
        model.geom_size[collar, 0] *= scene.tool_thickness
        model.geom_pos[collar, 0] -= longer * TOOL_BACK
        for geom in (handle, shaft):  # a capsule's bounds, which MuJoCo computes at compilation only
            radius, half = model.geom_size[geom, :2]
            model.geom_rbound[geom] = radius + half
            model.geom_aabb[geom, 3:] = (radius, radius, radius + half)

    def _weigh_tool(self, scene: Scene) -> None:
        """Mass, and inertia as of a rod: it grows with the square of the length."""
        model = self._model
        mass, inertia = self._tool_inertia
        model.body_mass[self._tool] = mass * scene.tool_mass
        model.body_inertia[self._tool] = inertia * scene.tool_mass * scene.tool_length**2
        model.body_ipos[self._tool] = self._tool_center * scene.tool_length
        mujoco.mj_setConst(model, self._constants)
